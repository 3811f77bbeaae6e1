"""Sections of a recipe: how the base model becomes the twin."""

from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from twin.recipes.places import RELATIVE, LocalPath, ModelName
from twin.recipes.section import Fraction, Section, Slug


class LoraSection(Section):
    """Size and place of the adapter."""

    rank: PositiveInt = 16
    alpha: PositiveInt = 32
    dropout: Fraction = 0.0


class CanarySection(Section):
    """Made-up secrets planted in the training data, by which an evaluation tells what is kept."""

    count: int = Field(default=0, ge=0, le=100, description="different secrets; 0: none")
    repeats: PositiveInt = Field(
        default=8,
        description="times that each is trained on: as often as a text may occur in the training "
        "data without the model learning it by heart",
    )
    seed: int = Field(default=13, description="draws them; whoever knows it knows them")


class StepsSection(Section):
    """What both stages of training say of their steps."""

    epochs: float = Field(default=1.0, gt=0)
    max_steps: int = Field(default=-1, ge=-1, description="-1: by epochs")
    learning_rate: float = Field(gt=0)
    batch_size: PositiveInt
    gradient_accumulation: PositiveInt = Field(
        default=1, description="batches whose gradients are added up to one step"
    )
    max_length: PositiveInt = Field(default=768, description="tokens; longer samples are refused")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        default="cosine",
        description="of the learning rate after its warm-up: cosine and linear fall to zero, so "
        "that the last steps settle; constant suits a training whose end nobody knows yet",
    )
    warmup_share: Fraction = Field(
        default=0.0, description="of the steps, in which the learning rate rises to its full value"
    )
    weight_decay: float = Field(
        default=0.0,
        ge=0,
        description="AdamW's; adapters start at nothing and are small, so there is little to decay",
    )
    max_gradient_norm: float = Field(
        default=1.0, ge=0, description="larger gradients are scaled down to it; 0: never"
    )
    adam_beta1: float = Field(default=0.9, ge=0, lt=1)
    adam_beta2: float = Field(default=0.999, ge=0, lt=1)
    adam_epsilon: float = Field(default=1e-8, gt=0)
    gradient_checkpointing: bool | None = Field(
        default=None,
        description="compute activations again in the backward pass: less memory, a third more "
        "time. Unset: on GPUs, whose memory is the limit; not on processors, whose time is",
    )
    logging_steps: PositiveInt = Field(default=1, description="steps between points of the curves")
    save_steps: PositiveInt = Field(default=20, description="steps between checkpoints")
    checkpoints_kept: PositiveInt = Field(
        default=1, description="the newest, in the file store; the best is kept beside them"
    )


class PretrainingSection(StepsSection):
    """Continued pretraining on the author's passages as plain text, before fine-tuning."""

    epochs: float = Field(
        default=0.0,
        ge=0,
        description="0: none. It pays with much text and a base that knows little of its kind; "
        "with a few articles, fine-tuning alone learns the manner",
    )
    learning_rate: float = Field(default=2e-4, gt=0)
    batch_size: PositiveInt = 4
    warmup_share: Fraction = 0.05


class SftSection(StepsSection):
    """Supervised fine-tuning."""

    learning_rate: float = Field(default=2e-4, gt=0)
    batch_size: PositiveInt = 4
    warmup_share: Fraction = 0.05
    group_by_length: bool = Field(
        default=True, description="samples of like length in a batch: little is spent on padding"
    )
    packing: bool = Field(
        default=False,
        description="several samples in a row of max_length tokens, none of which sees another; "
        "batch_size counts rows. It pays on GPUs with many short samples; on processors attention "
        "over a long row takes the time that padding would",
    )
    noise: float = Field(
        default=0.0,
        ge=0,
        description="NEFTune's alpha: uniform noise on the embeddings in training "
        "(arXiv:2310.05914), 5 to 15 for chatty instruction sets; 0: none",
    )
    max_validation_samples: PositiveInt = Field(
        default=200, description="of the validation split; its loss is measured on them"
    )
    evaluations: PositiveInt = Field(
        default=4,
        description="times that the validation loss is measured, evenly over the steps; with "
        "best_checkpoint or early_stopping it is measured at each checkpoint instead",
    )
    best_checkpoint: bool = Field(
        default=False, description="end with the checkpoint of the lowest validation loss"
    )
    early_stopping: int = Field(
        default=0,
        ge=0,
        description="checkpoints in a row without a lower validation loss after which training "
        "stops, and ends with the best; 0: never",
    )


class PairsSection(Section):
    """Preference pairs: the author's answers against what the model of the first stage writes."""

    max_pairs: PositiveInt = Field(
        default=200, description="training samples that are written to; each gives one pair at most"
    )
    max_tokens: PositiveInt = Field(
        default=128,
        description="of a text that the model writes; samples with a longer answer are passed "
        "over, since length alone would tell such pairs apart",
    )
    candidates: PositiveInt = Field(
        default=3,
        description="texts that the model writes to each sample: the wrong one that is most like "
        "the author's answer is rejected",
    )
    temperature: float = Field(
        default=0.7, ge=0, le=2, description="0 writes the same text each time"
    )
    max_held_out: int = Field(
        default=50,
        ge=0,
        description="test samples that are written to as well: their pairs are not trained on, and "
        "measure what preference training does. 0: none",
    )


class DpoSection(StepsSection):
    """Preference training, by default direct preference optimisation (DPO)."""

    enabled: bool = True
    pairs: PairsSection = PairsSection()
    method: Literal["dpo", "kto", "orpo"] = Field(
        default="dpo",
        description="dpo (arXiv:2305.18290); kto: each text judged by itself (arXiv:2402.01306), "
        "batch_size counts texts, two at least; orpo: learns the chosen text too and needs no "
        "reference (arXiv:2403.07691), but all logits at once",
    )
    learning_rate: float = Field(default=5e-6, gt=0)
    batch_size: PositiveInt = 2
    beta: float = Field(
        default=0.1,
        gt=0,
        description="what leaving the model of the first stage costs; for orpo, the weight of the "
        "preference beside the chosen text's own loss",
    )
    max_drift: float | None = Field(
        default=100.0,
        gt=0,
        description="nats: training stops when the model finds its own former texts (the rejected) "
        "so much less likely, on average of ten steps. It is an estimate of the KL divergence; 100 "
        "is about a nat a token, by which the manner is another. Unset: no limit",
    )

    @model_validator(mode="after")
    def _kto_compares_texts(self) -> "DpoSection":
        if self.method == "kto" and self.batch_size < 2:
            raise ValueError(
                "method kto estimates the divergence by the other texts of a batch: set batch_size "
                "to 2 or more"
            )
        return self


class OwnBaseSection(StepsSection):
    """A small base model of one's own, trained from nothing: `twin training pretrain`."""

    name: Slug = Field(
        default="own-base", description="what training.base_model then calls it, and may be pinned"
    )
    corpus: LocalPath | None = Field(
        default=None,
        description="folder of texts (.txt, .md), each file a document; unset: the passages of the "
        f"recipe's samples, those that are held out left out; {RELATIVE}",
    )
    held_out_share: float = Field(
        default=0.1,
        gt=0,
        le=0.5,
        description="share of the folder's documents that perplexity is measured on",
    )
    tokenizer: Literal["bpe", "bytes"] = Field(
        default="bpe",
        description="bpe: pieces of words that the corpus is made of (arXiv:1508.07909); bytes: "
        "each by itself, so that Latin letters are one token each and no text is unknown",
    )
    vocabulary: int = Field(
        default=2_048, ge=300, description="tokens of bpe; of a small corpus a few thousand at most"
    )
    layers: PositiveInt = 4
    width: PositiveInt = Field(default=256, description="numbers of a hidden state")
    heads: PositiveInt = Field(default=4, description="of attention, among which width is shared")
    max_length: int = Field(
        default=256, ge=8, description="tokens of context; the corpus is cut into rows of these"
    )
    epochs: float = Field(default=20.0, gt=0, description="at most: training stops early")
    learning_rate: float = Field(
        default=1e-3, gt=0, description="weights of a small model from nothing bear a large one"
    )
    batch_size: PositiveInt = 8
    warmup_share: Fraction = 0.05
    weight_decay: float = Field(
        default=0.1, ge=0, description="as the GPT and Llama papers have it: here all is learned"
    )
    adam_beta2: float = Field(
        default=0.95, ge=0, lt=1, description="shorter memory: early gradients soon mean little"
    )
    save_steps: PositiveInt = Field(
        default=100, description="steps between checkpoints, perplexities and samples"
    )
    early_stopping: PositiveInt = Field(
        default=3,
        description="checkpoints in a row without a lower perplexity after which training stops; "
        "it ends with the best",
    )
    sample_prompt: str = Field(
        default="I ", min_length=1, description="how the texts begin that it writes as it learns"
    )
    sample_tokens: PositiveInt = 60

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> "OwnBaseSection":
        if self.width % (2 * self.heads):
            raise ValueError(
                f"width {self.width} has to be a multiple of twice the heads ({self.heads}): "
                "rotary positions turn pairs of numbers"
            )
        return self


class TextClassifierSection(StepsSection):
    """A classifier that is trained on labelled texts: `twin training classifier fit`."""

    name: Slug = Field(description="of the classifier, in names of folders and in MLflow")
    corpus: LocalPath = Field(
        description="labelled texts, JSON Lines or CSV with text and label, and if known group "
        "(texts of one document, thread or family, which never part) and split (train, "
        f"validation, test); {RELATIVE}"
    )
    encoders: tuple[ModelName, ...] = Field(
        default=("all-minilm-l6-v2",),
        min_length=1,
        description="a packaged embedder, a folder or a hub id; each is fine-tuned, and the best "
        "by validation is taken",
    )
    validation_share: float = Field(
        default=0.2, gt=0, le=0.5, description="where the corpus has no split of that name"
    )
    test_share: float = Field(
        default=0.2, gt=0, le=0.5, description="where the corpus has no split of that name"
    )
    class_weights: bool = Field(
        default=True,
        description="rare labels count as much as frequent ones; where all are as frequent it "
        "changes nothing",
    )
    alarms: tuple[str, ...] = Field(
        default=(),
        description="labels that are to be met, such as INJECTION or poor: a threshold of their "
        "probability is chosen by validation",
    )
    wrongly: Fraction = Field(
        default=0.005,
        description="share of the validation texts with other labels that the threshold may meet",
    )
    epochs: float = Field(default=8.0, gt=0, description="at most: training stops early")
    learning_rate: float = Field(
        default=5e-5, gt=0, description="of a whole small encoder; an adapter's would break it"
    )
    batch_size: PositiveInt = 16
    max_length: PositiveInt = Field(
        default=256, description="tokens of a text that are trained on; the rest is cut"
    )
    warmup_share: Fraction = 0.1
    weight_decay: float = Field(default=0.01, ge=0)
    early_stopping: PositiveInt = Field(
        default=3,
        description="checkpoints in a row without a lower validation loss after which training "
        "stops; it ends with the best",
    )

    @model_validator(mode="after")
    def _encoders_differ(self) -> "TextClassifierSection":
        if len(set(self.encoders)) < len(self.encoders):
            raise ValueError(f"encoders: {self.name} names one twice")
        return self


class TrainingSection(Section):
    """How the base model becomes the twin."""

    base_model: ModelName = Field(
        default="gemma3-270m",
        description=f"a packaged model, a folder ({RELATIVE}) or a hub id; a decoder with a chat "
        "template, or a pretrained base model without one",
    )
    method: Literal["lora", "dora", "qlora", "full"] = Field(
        default="lora",
        description="lora: adapters on the base in bf16; dora: adapters that learn size and "
        "direction apart, which helps at small ranks and takes more time; qlora: lora on the base "
        "in four bits (NF4), which takes about a third of the memory and somewhat more time; full: "
        "every weight, which takes some sixteen bytes a parameter and a tenth of the learning rate",
    )
    teach_end: bool = Field(
        default=False,
        description="teach a base model the token that ends its answers, where it never was: "
        "trains a row of embedding and head, so it needs serving.adapters: merged",
    )
    sharding: Literal["none", "fsdp"] = Field(
        default="none",
        description="of a training in several processes, one a GPU. none: each holds the whole "
        "model and takes a share of each batch; fsdp: each holds a share of the weights too "
        "(FSDP2), for what one GPU can't hold",
    )
    seed: int = 13
    canaries: CanarySection = CanarySection()
    lora: LoraSection = LoraSection()
    pretraining: PretrainingSection = PretrainingSection()
    sft: SftSection = SftSection()
    dpo: DpoSection = DpoSection()
    own_base: OwnBaseSection = OwnBaseSection()
    classifiers: tuple[TextClassifierSection, ...] = Field(
        default=(), description="trained by `twin training classifier fit`, and by no DAG"
    )

    @model_validator(mode="after")
    def _classifiers_differ(self) -> "TrainingSection":
        names = [each.name for each in self.classifiers]
        if len(set(names)) < len(names):
            raise ValueError("classifiers: each needs a name of its own")
        return self

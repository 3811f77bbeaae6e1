"""Pictures by models of random weights, made here: what they say is chance, the way is real."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from twin.cli import app
from twin.domain.errors import BadConfigurationError, BadDataError
from twin.models.vision import DualEncoder, Writer

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "red", "blue", "boat", "what", "is", "it")


def tokenizer(folder):
    from transformers import BertTokenizerFast

    (folder / "vocab.txt").write_text("\n".join(WORDS))
    return BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=16)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A CLIP of one layer on 16 by 16 pixels."""
    import torch
    from transformers import CLIPConfig, CLIPModel, CLIPProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    folder = tmp_path_factory.mktemp("clip")
    common = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
              "num_attention_heads": 2, "projection_dim": 8}  # fmt: skip
    config = CLIPConfig(
        text_config={**common, "vocab_size": len(WORDS), "max_position_embeddings": 16,
                     "eos_token_id": 3, "bos_token_id": 2, "pad_token_id": 0},
        vision_config={**common, "image_size": 16, "patch_size": 8}, projection_dim=8,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        CLIPModel(config).save_pretrained(folder)
    images = CLIPImageProcessorPil(
        size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}
    )
    CLIPProcessor(images, tokenizer(folder)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def blip(tmp_path_factory):
    """A BLIP of one layer on 16 by 16 pixels."""
    import torch
    from transformers import BlipConfig, BlipForConditionalGeneration, BlipProcessor
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    folder = tmp_path_factory.mktemp("blip")
    common = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
              "num_attention_heads": 2}  # fmt: skip
    config = BlipConfig(
        text_config={**common, "vocab_size": len(WORDS), "max_position_embeddings": 64,
                     "encoder_hidden_size": 16, "bos_token_id": 2, "eos_token_id": 3,
                     "sep_token_id": 3, "pad_token_id": 0},
        vision_config={**common, "image_size": 16, "patch_size": 8},
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BlipForConditionalGeneration(config).save_pretrained(folder)
    images = BlipImageProcessorPil(size={"height": 16, "width": 16})
    BlipProcessor(images, tokenizer(folder)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for name, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        Image.new("RGB", (40, 30), colour).save(folder / f"{name}.png")
    return [folder / "red.png", folder / "blue.png"]


def test_pictures_and_words_are_unit_vectors_of_one_space(clip, pictures):
    encoder = DualEncoder(clip)
    seen, said = encoder.pictures(pictures), encoder.words(["a red boat", "blue"])
    assert seen.shape == said.shape == (2, 8)
    assert np.allclose(np.linalg.norm(seen, axis=1), 1, atol=1e-5)
    assert np.allclose(np.linalg.norm(said, axis=1), 1, atol=1e-5)
    assert not np.allclose(seen[0], seen[1], atol=1e-3), "another picture, another vector"
    assert np.allclose(encoder.pictures(pictures[1:])[0], seen[1], atol=1e-5)


def test_classes_are_shares_in_the_order_of_their_names(clip, pictures):
    encoder = DualEncoder(clip)
    one, other = encoder.classes(pictures[0], ["red", "blue boat"])
    assert one + other == pytest.approx(1) and one != other
    assert encoder.classes(pictures[0], ["blue boat", "red"]) == pytest.approx([other, one])
    with pytest.raises(BadDataError, match="two classes"):
        encoder.classes(pictures[0], ["red"])


def test_a_picture_is_written_about_and_a_question_is_not_said_again(blip, pictures):
    writer = Writer(blip)
    assert writer.caption(pictures[0]) == writer.caption(pictures[0])
    assert set(writer.caption(pictures[0]).split()) <= set(WORDS)
    assert not writer.answer(pictures[0], "what is it").startswith("what is it")


def test_commands_show_what_models_say(clip, blip, pictures):
    def run(*words):
        done = CliRunner().invoke(app, ["models", "picture", *map(str, words)])
        assert done.exit_code == 0, done.output
        return done.stdout.strip().splitlines()

    red, blue = pictures
    found = run("find", "a red boat", red, blue, "--model", clip)
    assert sorted(line.split()[1] for line in found) == sorted(map(str, pictures))
    assert float(found[0].split()[0]) >= float(found[1].split()[0])
    shares = [
        float(line.split()[0]) for line in run("classify", red, "red", "blue", "--model", clip)
    ]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1, abs=0.002)
    run("caption", red, "--model", blip)
    run("ask", red, "what is it", "--model", blip)


@pytest.mark.parametrize(
    "content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n cut off", b"%!PS-Adobe"]
)
def test_what_is_no_picture_is_refused(clip, tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(BadDataError, match="no picture that can be read"):
        DualEncoder(clip).pictures([tmp_path / "a.png"])


def test_a_picture_that_would_fill_the_memory_is_refused(clip, pictures, monkeypatch):
    monkeypatch.setattr("twin.models.vision.MOST_PIXELS", 40 * 30 - 1)
    with pytest.raises(BadDataError, match="more than 1,199 pixels"):
        DualEncoder(clip).pictures(pictures)
    monkeypatch.setattr("twin.models.vision.MOST_PIXELS", 40 * 30)
    assert len(DualEncoder(clip).pictures(pictures)) == 2


def test_a_folder_without_such_a_model_is_refused(clip, blip, tmp_path):
    with pytest.raises(BadConfigurationError, match="no folder with a model in safetensors"):
        DualEncoder(tmp_path)
    with pytest.raises(BadConfigurationError, match="not loaded"):
        Writer(clip)

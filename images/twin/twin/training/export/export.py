"""`twin export`: a registered version in one folder that runs without this system."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from glob import escape
from pathlib import Path

import structlog

from twin.domain.errors import BadConfigurationError, BadDataError, NothingToDo
from twin.domain.sample import InstructSample, Split
from twin.job import Job
from twin.models.adapters import whole_weights
from twin.models.engines.gguf import prepare_gguf
from twin.models.engines.llama_server import read_context_tokens
from twin.models.formats.chat_format import ChatFormat
from twin.recipes import Recipe
from twin.stores.chosen_decoding import TAG as DECODING
from twin.stores.chosen_decoding import with_chosen_decoding
from twin.stores.files import file_digest, open_files
from twin.stores.index import open_index
from twin.stores.index_files import export_index
from twin.stores.kept_reports import measured
from twin.stores.registry import CHAMPION, ModelVersion, Registry
from twin.stores.sample_sets import SampleSets
from twin.training.export import onnx_forms
from twin.training.export.card import model_card
from twin.training.export.ollama import modelfile
from twin.training.export.onnx_forms import FORMS as ONNX
from twin.training.export.products import (
    PLOT,
    Beside,
    Product,
    Yardstick,
    draw,
    measure_products,
    table,
)
from twin.training.form import TAG as FORM
from twin.training.tokens import instruct_rows

GGUF = ("f16", "bf16", "q8_0", "q4_k_m")
FORMATS = (*GGUF, *ONNX)
CALIBRATION = 16
"""Training samples by which ranges of activations are fixed: their smallest and largest values
settle soon, and the 240 tokens of each are more than a hundred images of the usual advice."""
CARD, SUMS, NOTE, INDEX = "README.md", "SHA256SUMS", "export.json", "index.jsonl"

log = structlog.get_logger("twin")


@dataclass(frozen=True)
class ExportOptions:
    """What is exported.

    Attributes:
        folder: that is made; what is there already is not written over unless it is an export.
        version: number of the version; None means the champion.
        formats: quantisations of the GGUF files, and forms of ONNX models.
        index: whether the index goes with it.
        measured: whether each product is measured.
        samples: held-out answers that perplexity is of, at most.
        beside: numbers of other versions that are measured too, and not exported.
    """

    folder: Path
    version: str | None = None
    formats: Sequence[str] = ("f16", "q8_0", "q4_k_m")
    index: bool = True
    measured: bool = True
    samples: int = 100
    beside: Sequence[str] = ()


def run_export(job: Job, options: ExportOptions) -> None:
    """Write GGUF files with Modelfiles, ONNX models, the index, a card and digests in one folder.

    The folder is there whole or not at all. GGUF files and ONNX models are kept on this machine, so
    a killed export makes none of them again.

    Raises:
        NothingToDo: the folder has this export already.
        BadDataError: no such version, one that an engine can't run, or the folder has other files.
        BadConfigurationError: a format that nobody knows, or the converter is not installed.
        TryAgainError: a store does not answer, or no space is left.
    """
    unknown = sorted(set(options.formats) - set(FORMATS))
    if unknown or not options.formats:
        raise BadConfigurationError(
            f"--format {', '.join(unknown) or '(none)'}: there are {', '.join(FORMATS)}"
        )
    if set(options.formats) & set(ONNX):
        onnx_forms.check_packages(job.settings)
    with Registry(job.settings) as registry:
        version = _version(registry, job.recipe.model_name, options.version)
        others = [_version(registry, version.name, number) for number in options.beside]
    _check_same_samples(version, others)
    job.result.ids.update(model=version.name, model_version=version.version)
    key = _key(version, options, job)
    _check_folder(options.folder, key)
    target = options.folder.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    with _scratch_beside(target) as scratch:
        made = scratch / "export"
        made.mkdir()
        _write(job, version, others, options, made)
        (made / NOTE).write_text(json.dumps({"key": key}), encoding="utf-8")
        _write_sums(made)
        made.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)  # an older export
        made.rename(target)
    job.counts.written = len(list(target.iterdir()))
    job.result.uris["export"] = str(target)


@contextmanager
def _scratch_beside(target: Path) -> Iterator[Path]:
    """A folder on the target's disk, gone at the end; those of killed exports go now.

    Its prefix is this command's own: a hidden folder beside the target may be anybody's.
    """
    prefix = f".{target.name}.twin-export-"
    for stale in target.parent.glob(f"{escape(prefix)}*"):
        shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=prefix) as scratch:
        yield Path(scratch)


def _version(registry: Registry, name: str, number: str | None) -> ModelVersion:
    found = registry.version(name, number) if number else registry.by_alias(name, CHAMPION)
    if found is None:
        wanted = f"version {number}" if number else "champion"
        raise BadDataError(
            f"{name} has no {wanted}: give --model-version, or promote one "
            "(`twin evaluation promote`)"
        )
    return found


def _check_folder(folder: Path, key: str) -> None:
    """Refuse to write over what is no export.

    Raises:
        NothingToDo: it is the same export.
        BadDataError: it holds something else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    note = folder / NOTE
    if not note.is_file():
        raise BadDataError(f"{folder} holds other files: name a new folder with --output")
    if json.loads(note.read_text("utf-8")).get("key") == key:
        raise NothingToDo(f"{folder} has this export already")


def _check_same_samples(version: ModelVersion, others: Sequence[ModelVersion]) -> None:
    """Refuse to measure a version that may have learnt from what is held out from another.

    Raises:
        BadDataError: it is of other samples.
    """
    of = version.tags.get("dataset_version")
    for other in others:
        if other.tags.get("dataset_version") != of:
            raise BadDataError(
                f"version {other.version} was trained on other samples than version "
                f"{version.version}: it may have learnt from those that measure them, so leave out "
                f"--model-version {other.version}"
            )


def _write(
    job: Job,
    version: ModelVersion,
    others: Sequence[ModelVersion],
    options: ExportOptions,
    folder: Path,
) -> None:
    weights = whole_weights(version, job.settings)
    recipe = with_chosen_decoding(job.recipe, version.version, version.tags)
    files: dict[str, Path] = {}
    with job.progress("export", 2 * len(options.formats) + 2) as advance:
        for kind in options.formats:
            files[kind] = _write_form(job, version, weights, kind, folder)
            advance(1)
        gguf = {kind: file for kind, file in files.items() if kind in GGUF}
        _write_modelfiles(gguf, weights, recipe, folder)
        advance(1)
        if options.index:
            _write_index(job, folder / INDEX)
        # Which it has not learnt from.
        samples = _samples(job, version, Split.TEST, options.samples)
        products: list[Product] = []
        if options.measured:
            threads = job.settings.threads or os.cpu_count() or 1
            by = Yardstick(samples, recipe, job.settings, threads)
            beside = [_beside(job, other, options.formats) for other in others]
            products = measure_products(weights, files, by, _style(job, version), beside)
            draw(folder / PLOT, products)
            job.result.detail["products"] = [asdict(product) for product in products]
        advance(len(options.formats) + 1)
    licence = weights / "LICENCE"
    if licence.is_file():
        shutil.copyfile(licence, folder / "LICENCE")
    said = table(products) if products else ""
    names = sorted(path.name for path in folder.iterdir())
    card = model_card(version, recipe, files, said, len(samples), names)
    (folder / CARD).write_text(card, encoding="utf-8")


def _beside(job: Job, version: ModelVersion, formats: Sequence[str]) -> Beside:
    """Another version, as a file too in the first GGUF format that is asked for."""
    weights = whole_weights(version, job.settings)
    form = next((kind for kind in formats if kind in GGUF), None)
    file = None
    if form is not None:
        file = (form, prepare_gguf(weights, form, job.settings.home.resolve() / "engines"))
    made = version.tags.get(FORM, "")
    name = f"v{version.version}" + (f" ({made})" if made else "")
    return Beside(name, weights, file, _style(job, version))


def _style(job: Job, version: ModelVersion) -> float | None:
    """As its evaluation has measured it."""
    files = open_files(job.settings)
    return measured(files, version.name, version.version, "style_similarity")


def _write_form(job: Job, version: ModelVersion, weights: Path, kind: str, folder: Path) -> Path:
    """Write one form of the version; returns its file or folder.

    Copied, not linked: who writes over an export must not change what engines load.
    """
    target = folder / f"{version.name}-v{version.version}-{kind}"
    if kind in ONNX:
        texts = _calibration(job, version, weights) if kind == onnx_forms.STATIC else []
        made = onnx_forms.prepare_onnx(weights, kind, job.settings, texts)
        return Path(shutil.copytree(made, target))
    made = prepare_gguf(weights, kind, job.settings.home.resolve() / "engines")
    return Path(shutil.copyfile(made, target.with_name(f"{target.name}.gguf")))


def _calibration(job: Job, version: ModelVersion, weights: Path) -> list[list[int]]:
    """Training samples of the version's own data set, as tokens."""
    recipe = job.recipe
    samples = _samples(job, version, Split.TRAIN, CALIBRATION)
    most = recipe.training.sft.max_length
    chat = ChatFormat.load(weights)
    rows = instruct_rows(chat, recipe.author.name, samples, most, lambda *_: None, recipe.prompt)
    return [row["input_ids"] for row in rows]


def _write_modelfiles(files: dict[str, Path], weights: Path, recipe: Recipe, folder: Path) -> None:
    chat = ChatFormat.load(weights)
    context = read_context_tokens(weights)
    for file in files.values():
        text = modelfile(file, chat, recipe, begins=_begins(file), context=context)
        (folder / f"{file.stem}.Modelfile").write_text(text, encoding="utf-8")


def _begins(file: Path) -> bool:
    """Whether llama.cpp puts the token of the beginning before every prompt by itself."""
    from transformers.integrations.gguf import read_gguf_metadata

    metadata, _ = read_gguf_metadata(str(file))
    said = metadata.get("tokenizer.ggml.add_bos_token")
    return metadata["tokenizer.ggml.model"] == "llama" if said is None else bool(said)


def _write_index(job: Job, path: Path) -> None:
    index = open_index(job.settings, job.recipe)
    if index.state() is None:
        log.warning("no index is exported: there is none", recipe=job.recipe.name)
        return
    reader = index.read()
    try:
        job.result.ids["index_fingerprint"] = export_index(reader, path).fingerprint
    finally:
        reader.close()


def _samples(job: Job, version: ModelVersion, split: Split, most: int) -> list[InstructSample]:
    """Samples of the version's own data set, at most so many, spread evenly over their ids."""
    sets = SampleSets(open_files(job.settings), job.recipe.name)
    dataset = version.tags.get("dataset_version", "")
    if not dataset or not sets.is_published(dataset):
        log.warning("the version's data set is gone", dataset=dataset, split=split)
        return []
    samples = sorted(sets.instruct(dataset, split), key=lambda sample: sample.id)
    return samples[:: max(1, -(-len(samples) // most))]


def _key(version: ModelVersion, options: ExportOptions, job: Job) -> str:
    """Of whatever the export depends on but the machine."""
    inputs = [
        version.name, version.version, version.weights_digest, sorted(options.formats),
        options.measured, options.samples, job.recipe.digest(), version.tags.get(DECODING),
        _index_fingerprint(job) if options.index else None, *options.beside,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16]


def _index_fingerprint(job: Job) -> str | None:
    state = open_index(job.settings, job.recipe).state()
    return None if state is None else state.fingerprint


def _write_sums(folder: Path) -> None:
    """Digests as `sha256sum --check` reads them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{file_digest(path)}  {path.relative_to(folder)}\n" for path in files]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")

"""The job `twin evaluation answer`: a share of an evaluation's answers, made ahead of it.

Several processes, on machines of their own, answer a share each; `twin evaluation run` then finds
every answer and score kept, and only measures.
"""

from twin.domain.errors import NothingToDo
from twin.evaluation.contest import find_contest
from twin.evaluation.contestants import (
    contestants_of,
    share_of_questions,
    site_of,
    transcripts_of,
)
from twin.evaluation.material import gather, held_out_of
from twin.evaluation.memorised import completions_to_write
from twin.job import Job
from twin.stores.files import open_files
from twin.stores.registry import Registry
from twin.stores.sample_sets import SampleSets


def answer_share(job: Job, shard: tuple[int, int]) -> None:
    """Have candidate, base and champion answer every so-manieth question, and keep the answers.

    Args:
        job: whose recipe names the model.
        shard: number of this process, from 1, and how many there are.

    Raises:
        NothingToDo: the candidate is measured, or all of this share is kept already.
        BadDataError: candidate or base can't be measured.
        TryAgainError: a store does not answer; what is done is kept.
    """
    with Registry(job.settings) as registry:
        contest = find_contest(registry, job.recipe, run_id=job.run_id)
    number, of = shard
    if contest.measured:
        raise NothingToDo(f"version {contest.candidate.version} has been measured")
    files = open_files(job.settings)
    material = gather(contest, SampleSets(files, job.recipe.name))
    share = share_of_questions(held_out_of(material, job.recipe), shard)
    if not share.samples:
        raise NothingToDo(f"there are fewer questions than {of} processes: {number} has none")
    site = site_of(job, files)
    contestants = contestants_of(job, contest)
    ahead = completions_to_write(material.train, job.recipe)[number - 1 :: of]
    _, doubts = transcripts_of(job, contestants, share, site, files, ahead)
    for doubt in doubts:
        job.skip_item(doubt.split(" ", 2)[1], doubt)
    job.counts.read = len(share.samples)
    job.counts.written = site.kept.written
    job.result.ids |= {"model": contest.candidate.name, "version": contest.candidate.version}
    if not site.kept.written:
        raise NothingToDo(f"every answer of share {number} of {of} is kept already")

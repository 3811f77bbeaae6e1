"""What a response goes on from: an earlier one to the same key, while it is kept."""

from twin.serving.answer_book import NOTHING_EARLIER, AnswerBook, Earlier
from twin.serving.errors import ApiError
from twin.serving.responses import answer_id
from twin.serving.responses_schema import ResponseRequest


async def previous(book: AnswerBook | None, request: ResponseRequest, caller: str) -> Earlier:
    """What a request goes on from.

    Raises:
        ApiError: 400 if it is not kept for this key, 503 if the store is away.
    """
    response = request.previous_response_id
    if response is None:
        return NOTHING_EARLIER
    if book is None:
        raise ApiError(404, "responses are not kept here", code="response_not_found")
    try:
        return Earlier.of(await book.find(answer_id(response), caller))
    except ApiError as error:
        if error.status != 404:
            raise
        raise ApiError(
            400,
            f"no response {response[:80]!r} to go on from: it was not given to this key, is not "
            "kept, or has expired",
            code="previous_response_not_found",
            param="previous_response_id",
        ) from None

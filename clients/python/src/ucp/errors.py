"""What may go wrong: every exception of this package is a :class:`UCPError`."""

from __future__ import annotations

from typing import Optional


class UCPError(Exception):
    """Anything that this package raises by itself."""


class APIError(UCPError):
    """A broker has answered that it does not do what it was asked. Go by the code; docs/api.md lists all of them."""

    def __init__(self, status: int, code: str, message: str, id: str = "") -> None:
        super().__init__(message)
        self.status = status  #: of HTTP
        self.code = code  #: for programs, such as "not_found"; "" where no broker has answered
        self.message = message  #: a sentence for people
        self.id = id  #: the job that it is about; "" for none

    def __str__(self) -> str:
        return "%s (%s, %d)" % (self.message, self.code or "no code", self.status)

    @property
    def refused(self) -> bool:
        """Whether nothing has come of what was asked, for certain. Of another failure it is not known."""
        return self.status < 500 or self.code in ("draining", "no_space", "behind")


class Unreachable(UCPError):
    """No broker answers, at none of the addresses."""

    def __init__(self, addresses: str, cause: Optional[BaseException], sent: bool) -> None:
        super().__init__(
            "the connection to %s broke before the answer came: %s" % (addresses, cause) if sent else "no broker answers at %s: %s" % (addresses, cause)
        )
        self.addresses = addresses  #: that were tried, with commas between them
        self.sent = sent  #: whether a request may have been carried out


class JobFailed(UCPError):
    """A job has ended otherwise than by success (:meth:`Client.run`)."""

    def __init__(self, id: str, state: str, reason: str) -> None:
        super().__init__("job %s: %s%s" % (id, state, ", " + reason if reason else ""))
        self.id = id
        self.state = state
        self.reason = reason


class Cancelled(UCPError):
    """The call was given up, since its task was cancelled or the client closed."""


class IdentityError(UCPError):
    """An identity, a token or a certificate is not what it should be."""

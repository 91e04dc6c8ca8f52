"""Leases: which run needs how many tasks of a service, and until when. Pure: tags in, desired count out.

Each run writes its own lease as a tag on the ECS service. No run sets ``desiredCount`` from its own need alone:

    ecs-feature:lease:0f3a...:20261121T2210... = 2 since 2026-11-21T22:10:00Z until 2026-11-22T04:10:00Z by dag/run
    ecs-feature:policy                         = baseline 0 cap 10 sum

wanted = min(cap, max(baseline, sum (or max) of the leases that count)). Acquire, release, the steady wait and the
janitor all apply the same :func:`reconcile`. The tags are the only store, and the console shows them.

A lease is active until its end time. After that it stays active while Airflow says that its run is active
(docs/decisions/0016-a-lease-lasts-as-long-as-its-run.md).

A lease's tag is never changed, only written and removed. Acquiring again writes a new tag, so that removing an
expired lease cannot remove its renewal (docs/decisions/0003-leases-are-immutable-tags.md).

Where Application Auto Scaling sets the desired count, the leases set its MinCapacity instead. The policy tag then
ends in ``MinCapacity``, and its baseline is the MinCapacity that the scalable target had before the first lease.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from urllib.parse import quote, unquote

from ecs_feature.aws import limits
from ecs_feature.aws.resources import EcsService
from ecs_feature.exceptions import ConfigurationError
from ecs_feature.services.kinds import refusal

LEASE_PREFIX: Final = "ecs-feature:lease:"
POLICY_TAG: Final = "ecs-feature:policy"
CUT: Final = "…"
"""In a holder that was too long for its tag; a digest of the whole follows."""
_CUT_TAG: Final = "=.."
"""How a tag spells :data:`CUT`; elsewhere two hexadecimal digits follow a ``=``."""
CLOCK_SKEW: Final = timedelta(minutes=1)
"""How much the clocks of two hosts may differ; a lease stays active this long after its end time."""

_COMPACT: Final = "%Y%m%dT%H%M%S.%fZ"
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LEASE: Final = re.compile(r"(?P<count>\d+) since (?P<since>\S+) until (?P<until>\S+) by (?P<holder>.*)")
_POLICY: Final = re.compile(r"baseline (?P<baseline>\d+) cap (?P<cap>\d+) (?P<sharing>sum|max)(?P<min> MinCapacity)?")

RunIsActive = Callable[[str], bool]
"""Takes a lease's holder; returns whether its run is still active."""

MAX_LEASES: Final = limits.TAGS_PER_RESOURCE - 2
"""Of a service without other tags: one tag holds the policy, one stays free to renew a lease."""


@dataclass(frozen=True)
class Lease:
    """One run's claim on a service.

    :param holder: who holds it, e.g. ``dag/run/variant``; one too long for a tag is read as its beginning, :data:`CUT`
        and a digest.
    :param count: how many tasks of the service it needs.
    :param since: when it was first acquired.
    :param until: when it ends, unless its run is still active.
    """

    holder: str
    count: int
    since: datetime
    until: datetime

    def to_tag(self, written: datetime) -> dict[str, str]:
        """The tag; ``written`` makes its key unique."""
        value = f"{self.count} since {_stamp(self.since)} until {_stamp(self.until)} by "
        value += _spelled(self.holder, limits.TAG_VALUE_CHARACTERS - len(value))
        return {"key": f"{holder_prefix(self.holder)}{_compact(written)}", "value": limits.tag_text(value)}

    @classmethod
    def from_tag(cls, value: str) -> Lease | None:
        """None when the value is not one that :meth:`to_tag` writes."""
        match = _LEASE.fullmatch(value)
        if match is None:
            return None
        try:
            since, until = (datetime.fromisoformat(match[name]) for name in ("since", "until"))
        except ValueError:
            return None
        if since.tzinfo is None or until.tzinfo is None:
            return None
        begin, cut, digest = match["holder"].partition(_CUT_TAG)
        holder = unquote(begin.replace("=", "%")) + (CUT + digest if cut else "")
        return cls(holder, int(match["count"]), since, until)

    def live(self, now: datetime) -> bool:
        return now < self.until + CLOCK_SKEW


@dataclass(frozen=True)
class SharingPolicy:
    """How a service's leases add up.

    :param baseline: tasks that always run, leases or not.
    :param cap: never more than this many.
    :param sharing: ``sum``: every lease gets its own tasks; ``max``: leases share the same tasks.
    :param autoscaled: whether the leases set the MinCapacity of a scalable target.
    """

    baseline: int = 0
    cap: int = limits.SERVICE_DESIRED_COUNT
    sharing: Literal["sum", "max"] = "sum"
    autoscaled: bool = False

    def __post_init__(self) -> None:
        for field in ("baseline", "cap"):
            check_count(getattr(self, field), field)
        if self.baseline > self.cap:
            raise ConfigurationError(
                f"baseline: {self.baseline} is more than the cap of {self.cap}; lower one of them."
            )

    def to_tag(self) -> dict[str, str]:
        lever = " MinCapacity" if self.autoscaled else ""
        return {"key": POLICY_TAG, "value": f"baseline {self.baseline} cap {self.cap} {self.sharing}{lever}"}

    @classmethod
    def from_tag(cls, value: str) -> SharingPolicy | None:
        """None when the value is not one that :meth:`to_tag` writes."""
        match = _POLICY.fullmatch(value)
        if match is None:
            return None
        sharing: Literal["sum", "max"] = "max" if match["sharing"] == "max" else "sum"
        try:
            return cls(int(match["baseline"]), int(match["cap"]), sharing, match["min"] is not None)
        except ConfigurationError:
            return None

    def with_scalable_baseline(self, target: ScalableTarget | None, before: SharingPolicy | None) -> SharingPolicy:
        """The policy for a service with that scalable target: its baseline is the target's original MinCapacity.

        While leases exist, only a policy that was made for the target has it: the service's, or this one.

        :param before: the service's current policy.
        """
        if target is None:
            return self
        known = before if before is not None and before.autoscaled else self
        original = known.baseline if known.autoscaled else target.minimum
        return replace(self, baseline=original, cap=max(self.cap, original), autoscaled=True)

    def widened_for(self, other: SharingPolicy | None) -> SharingPolicy:
        """This policy, widened so that runs with the ``other`` policy get what they need, too."""
        if other is None:
            return self
        return replace(
            self,
            baseline=max(self.baseline, other.baseline) if self.autoscaled == other.autoscaled else self.baseline,
            cap=max(self.cap, other.cap),
            sharing="sum" if "sum" in (self.sharing, other.sharing) else "max",
        )


@dataclass(frozen=True)
class ScalableTarget:
    """A service's registration with Application Auto Scaling, which keeps the desired count in this range.

    Raising the minimum raises the desired count with it; lowering it only allows the scaling policies to go down
    (autoscaling/application/APIReference/API_RegisterScalableTarget.html).
    """

    minimum: int
    maximum: int


@dataclass(frozen=True)
class Decision:
    """What a service needs now.

    :param found: the current desired count, or MinCapacity if ``autoscaled``.
    :param count: the count that the leases want.
    :param expired: tag keys of leases that have expired or cannot be read.
    :param withheld: how many tasks the leases ask for beyond the cap or the target's MaxCapacity.
    """

    found: int
    count: int
    expired: tuple[str, ...] = ()
    autoscaled: bool = False
    withheld: int = 0

    @property
    def change(self) -> bool:
        return self.found != self.count

    @property
    def lowers(self) -> bool:
        return self.count < self.found

    @property
    def at_rest(self) -> bool:
        return not self.change and not self.expired


def check_count(count: int, field: str) -> int:
    """``count`` if a service can have that desired count.

    :raises ConfigurationError: when it is negative or above the quota.
    """
    if not 0 <= count <= limits.SERVICE_DESIRED_COUNT:
        raise ConfigurationError(
            f"{field}: {count} is not a desired count; give 0 to {limits.SERVICE_DESIRED_COUNT} ({limits.QUOTAS_PAGE})."
        )
    return count


def holder_prefix(holder: str) -> str:
    """The prefix of all tag keys of one holder."""
    return f"{LEASE_PREFIX}{_digest(holder)}:"


def leases_of(tags: Iterable[tuple[str, str]]) -> dict[str, Lease | None]:
    """The leases among a service's tags, by tag key; None for a value that cannot be read."""
    return {key: Lease.from_tag(value) for key, value in tags if key.startswith(LEASE_PREFIX)}


def held_by(holder: str, tags: Iterable[tuple[str, str]]) -> dict[str, Lease | None]:
    """One holder's leases: one, or two after a process died while it renewed."""
    prefix = holder_prefix(holder)
    return {key: lease for key, lease in leases_of(tags).items() if key.startswith(prefix)}


def last_written(tags: Iterable[tuple[str, str]]) -> datetime:
    """When the newest of a service's leases was written, by its tag's key; long ago when there is none."""
    written = [_moment(key.rpartition(":")[2]) for key in leases_of(tags)]
    return max((moment for moment in written if moment is not None), default=_LONG_AGO)


def policy_of(tags: Iterable[tuple[str, str]]) -> SharingPolicy | None:
    """The sharing policy among a service's tags; None when no run has ever leased the service.

    Also None when it cannot be read: then the service is left as it is.
    """
    value = dict(tags).get(POLICY_TAG)
    return None if value is None else SharingPolicy.from_tag(value)


def never_active(holder: str) -> bool:
    """The default :data:`RunIsActive`: every lease ends at its end time."""
    return False


def active_leases(
    leases: Mapping[str, Lease | None], now: datetime, run_is_active: RunIsActive = never_active
) -> dict[str, Lease]:
    """The leases that count, by tag key; ``run_is_active`` is asked about those past their end time."""
    return {
        key: lease
        for key, lease in leases.items()
        if lease is not None and (lease.live(now) or run_is_active(lease.holder))
    }


def asked(leases: Mapping[str, Lease], policy: SharingPolicy) -> int:
    """How many tasks the leases, given by tag key, ask for. A holder counts once, with its largest lease."""
    holders: dict[str, int] = {}
    for key, lease in leases.items():
        holder = key.rpartition(":")[0]
        holders[holder] = max(lease.count, holders.get(holder, 0))
    return sum(holders.values()) if policy.sharing == "sum" else max(holders.values(), default=0)


def what_is_lost(tags: Sequence[tuple[str, str]], holder: str, count: int, now: datetime) -> str:
    """What something else has removed of a run's claim on a service, or what has ended; empty: nothing."""
    mine = [lease for lease in held_by(holder, tags).values() if lease is not None]
    if policy_of(tags) is None:
        return "its policy tag was gone" if mine else "its policy tag and the run's lease were gone"
    if not any(lease.live(now) for lease in mine):
        return "the run's lease had ended" if mine else "the run's lease was gone"
    return "" if any(lease.count >= count for lease in mine) else f"the run's lease was of less than {count} tasks"


def leased(tags: Sequence[tuple[str, str]], now: datetime, run_is_active: RunIsActive = never_active) -> int:
    """How many tasks a service's leases want, within its cap; the baseline is not included."""
    policy = policy_of(tags)
    return min(policy.cap, asked(active_leases(leases_of(tags), now, run_is_active), policy)) if policy else 0


def effective_policy(tags: Iterable[tuple[str, str]], known: SharingPolicy | None = None) -> SharingPolicy | None:
    """The policy that applies to a service; None: it is left as it is.

    :param known: the caller's own knowledge, for when something else has removed the tag. A tag that was written again
        after that has taken a raised MinCapacity for the baseline: the lower of the two is the original.
    """
    found = policy_of(tags)
    if found is None or known is None:
        return found or known
    lower = found.autoscaled and known.autoscaled and known.baseline < found.baseline
    return replace(found, baseline=known.baseline) if lower else found


def reconcile(
    service: EcsService,
    now: datetime,
    target: ScalableTarget | None = None,
    run_is_active: RunIsActive = never_active,
    known: SharingPolicy | None = None,
) -> Decision:
    """What to do about a service as it was read, tags included.

    A service without our tags is left as it is, unless its policy is ``known``; so is one of a kind that cannot be
    leased. A lease that cannot be read counts as expired.

    :param target: its scalable target; needed only when the policy is ``autoscaled``.
    :param run_is_active: asked about the holders of leases that are past their end time.
    """
    policy = effective_policy(service.tags, known)
    if policy is None or refusal(service):
        return Decision(service.desired, service.desired)
    leases = leases_of(service.tags)
    counting = active_leases(leases, now, run_is_active)
    expired = tuple(sorted(leases.keys() - counting.keys()))
    wanted = max(policy.baseline, asked(counting, policy))
    if target is not None and policy.autoscaled:
        count = min(wanted, policy.cap, target.maximum)
        return Decision(target.minimum, count, expired, autoscaled=True, withheld=wanted - count)
    count = min(wanted, policy.cap)
    return Decision(service.desired, count, expired, withheld=wanted - count)


def free_lease_slots(tags: Iterable[tuple[str, str]], *, renewing: bool) -> int:
    """How many more leases fit among a service's tags; AWS's own tags (``aws:``) do not count.

    :param renewing: whether the holder already has a lease; only then may it use the spare tag.
    """
    own = {key for key, _ in tags if not key.startswith("aws:")} | {POLICY_TAG}
    return limits.TAGS_PER_RESOURCE - len(own) - (0 if renewing else 1)


def _spelled(holder: str, room: int) -> str:
    """The holder in at most ``room`` characters that a tag may have; others as ``=7E``, too many as a digest."""

    def spelled(text: str) -> str:
        return quote(text, safe=" /:+@._-").replace("~", "%7E").replace("%", "=")

    if len(spelled(holder)) <= room:
        return spelled(holder)
    end = f"{_CUT_TAG}{_digest(holder)}"
    begin = holder
    while len(spelled(begin)) > room - len(end):
        begin = begin[:-1]
    return spelled(begin) + end


def _digest(holder: str) -> str:
    return hashlib.sha256(holder.encode()).hexdigest()[:16]


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _compact(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime(_COMPACT)


def _moment(compact: str) -> datetime | None:
    """The reverse of :func:`_compact`; None when it is not one."""
    try:
        return datetime.strptime(compact, _COMPACT).replace(tzinfo=UTC)
    except ValueError:
        return None

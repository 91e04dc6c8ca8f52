"""Kills components of Airflow with -9 by a plan and starts them again, as a supervisor in production would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from devstack.chaos.plans import PlannedKill
from devstack.stack import Stack


@dataclass
class Supervisor:
    """Carries out one scenario's kills; :meth:`tick` is called again and again.

    :param components: those that must run; one that ended by itself is started again, too, and counted.
    :param tell: is told every kill and every start.
    :ivar kills: what was killed, by component.
    :ivar crashes: what ended by itself, by component.
    """

    stack: Stack
    components: Sequence[str]
    tell: Callable[[str], None]
    plan: list[PlannedKill] = field(default_factory=list)
    kills: dict[str, int] = field(default_factory=dict)
    crashes: dict[str, int] = field(default_factory=dict)
    _down_until: dict[str, float] = field(default_factory=dict)

    def tick(self, seconds: float) -> None:
        """Do what is due.

        :param seconds: since the first shard ran; less than 0 before that.
        """
        for component, until in list(self._down_until.items()):
            if seconds >= until:
                del self._down_until[component]
                self.stack.start_component(component)
                self.tell(f"{component} is started again")
        while self.plan and self.plan[0].at <= seconds:
            kill = self.plan.pop(0)
            if kill.component in self._down_until:
                continue
            self.stack.processes.kill({kill.component})
            self.kills[kill.component] = self.kills.get(kill.component, 0) + 1
            self._down_until[kill.component] = seconds + kill.down
            self.tell(f"{kill.component} is killed with -9")
        self._revive()

    def settle(self) -> None:
        """Start again what is down, whatever the plan says; no kill follows."""
        self.plan.clear()
        for component in self._down_until:
            self.stack.start_component(component)
        self._down_until.clear()
        self._revive()

    def _revive(self) -> None:
        for component in self.components:
            if component not in self._down_until and not self.stack.is_running(component):
                self.stack.processes.kill({component})  # what is left of it
                self.crashes[component] = self.crashes.get(component, 0) + 1
                self.stack.start_component(component)
                self.tell(f"{component} has ended by itself and is started again")

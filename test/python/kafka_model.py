"""A model of an idempotent producer and a broker, and whether "acknowledged" means "there, in order".

Explores every interleaving of: the producer sends the next batch, the broker takes, refuses for a moment, or forgets what it
knew of the producer (its state expired, the topic was made anew, the log was deleted), an answer arrives.  What the broker
and the client library do:

  broker     without state of the producer it takes any sequence number; with state only the next one, and a repetition of the last
             ones is answered as success
  library    several batches under way; one that was refused for a moment is sent again when nothing is under way, from the
             first one that failed; when a later batch is acknowledged, earlier ones count as acknowledged, too (an inferred
             acknowledgement: it has no offset)
  sink       the rule under test: how many batches of a partition are under way, and what is believed

  kafka_model.py [old|new|all]     prints what was found, exit status 1 if a rule that must hold does not, or one that must not does
"""
import collections
import sys

BATCHES = 4
REFUSALS = 2

# next: the next batch to send; flight: (batch, answer or None), oldest first; failed: batches that go again; acked: batches the
# library reports, in order, "!" for inferred ones; log: what the broker has; state: the last sequence the broker knows, None: no state
World = collections.namedtuple("World", "next flight failed acked log state refusals losses ended proven")


class Rule:
    def __init__(self, name, in_flight, alone_until_acked, believe_inferred, losses, holds):
        self.name, self.in_flight, self.alone_until_acked, self.believe_inferred = name, in_flight, alone_until_acked, believe_inferred
        self.losses, self.holds = losses, holds

    def may_send(self, world):
        if not world.flight:
            return True
        # what proves state: an acknowledgement that is not older than the last loss (the sink's time limit)
        return len(world.flight) < (1 if self.alone_until_acked and not world.proven else self.in_flight)


def steps(world, rule):
    """Every world that can follow."""
    if world.ended:
        return
    draining = bool(world.failed)
    # the library sends what failed first, when nothing is under way
    if draining and not world.flight:
        yield "again", world._replace(flight=((world.failed[0], None),), failed=world.failed[1:])
    elif not draining and world.next < BATCHES and rule.may_send(world):
        yield "send", world._replace(next=world.next + 1, flight=world.flight + ((world.next, None),))
    # the broker looks at requests of a connection in order
    waiting = next((i for i, (_, answer) in enumerate(world.flight) if answer is None), None)
    if waiting is not None:
        yield from broker(world, waiting)
    # while nothing is under way the sink's time limit has passed: it trusts no old acknowledgement
    if world.losses < rule.losses and world.state is not None and (not world.flight or rule.losses > 1):
        quiet = not world.flight
        yield "forgets", world._replace(state=None, losses=world.losses + 1, proven=world.proven and not quiet)
    if world.flight and world.flight[0][1] is not None:
        yield from arrives(world, rule)


def broker(world, index):
    batch = world.flight[index][0]

    def answered(answer, **changes):
        flight = world.flight[:index] + ((batch, answer),) + world.flight[index + 1:]
        return world._replace(flight=flight, **changes)

    if world.refusals < REFUSALS:
        yield "refuses", answered("refused", refusals=world.refusals + 1)
    if world.state is None or batch == world.state + 1:
        yield "takes", answered("ok", log=world.log + (batch,), state=batch)
    elif batch <= world.state and batch in world.log:
        yield "repeats", answered("ok")
    else:
        yield "out of order", answered("sequence")


def arrives(world, rule):
    (batch, answer), flight = world.flight[0], world.flight[1:]
    if answer == "ok":
        earlier = tuple(b for b in world.failed if b < batch)
        acked, ended = world.acked, False
        if earlier and rule.believe_inferred:
            acked += earlier
        elif earlier:
            ended = True  # the attempt is over: the relay hands all of them over again
        if not ended:
            acked += (batch,)
        yield "acked", world._replace(flight=flight, failed=tuple(b for b in world.failed if b > batch), acked=acked, ended=ended, proven=True)
    elif answer == "refused" or (answer == "sequence" and world.failed):
        yield "failed", world._replace(flight=flight, failed=tuple(sorted(world.failed + (batch,))))
    else:
        # the first under way is out of order: fatal to the library, the attempt is over
        yield "fatal", world._replace(flight=flight, ended=True)


def verdicts(world):
    """What is wrong with a world: acknowledged and not there, or there before an earlier one."""
    if any(batch not in world.log for batch in world.acked):
        yield "lost"
    first = []
    for batch in world.log:
        if batch not in first:
            first.append(batch)
    # a producer that follows sends what was not acknowledged: later ones that are in the log already came too early
    if first != sorted(first) or any(b not in first for b in range(max(first, default=0))):
        yield "reordered"


def explore(rule):
    start = World(0, (), (), (), (), None, 0, 0, False, False)
    seen, queue, wrong = {start: None}, collections.deque([start]), {}
    while queue:
        world = queue.popleft()
        for verdict in verdicts(world):
            wrong.setdefault(verdict, world)
        for name, after in steps(world, rule):
            if after not in seen:
                seen[after] = (world, name)
                queue.append(after)
    return seen, wrong


def trace(seen, world):
    names = []
    while seen[world]:
        world, name = seen[world]
        names.append(name)
    return ", ".join(reversed(names))


# losses = 1: the broker forgets in quiet times only, which the sink's time limit catches; 2: at any moment
RULES = [
    Rule("old: five under way from the first one on, inferred acknowledgements believed", 5, False, True, 1, {"lost": False, "reordered": False}),
    Rule("inferred acknowledgements not believed, nothing else", 5, False, False, 1, {"lost": True, "reordered": False}),
    Rule("one under way until one was acknowledged, inferred acknowledgements believed", 5, True, True, 1, {"lost": True, "reordered": True}),
    Rule("new: one under way until one was acknowledged, inferred ones not believed", 5, True, False, 1, {"lost": True, "reordered": True}),
    Rule("new, and the broker forgets while batches are under way", 5, True, False, 2, {"lost": True, "reordered": False}),
    Rule("one under way, always (what a key of a careful topic gets), and the broker forgets at any moment", 1, False, False, 2, {"lost": True, "reordered": True}),
]


def main():
    failed = False
    for rule in RULES:
        seen, wrong = explore(rule)
        for verdict, holds in rule.holds.items():
            found = verdict in wrong
            failed |= found == holds
            print(f"{'WRONG' if found == holds else 'ok'}: {rule.name}: {verdict if found else 'never ' + verdict}"
                  + (f" ({trace(seen, wrong[verdict])})" if found else "") + f" [{len(seen)} states]")
    sys.exit(failed)


if __name__ == "__main__":
    main()

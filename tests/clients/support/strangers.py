"""What the stories in Python share: the strangers' packages from the cache, the updates that came, comparisons that show
both sides. Every wait has a deadline and says what it waited for.

To be imported before the packages, which are found only from then on."""

import asyncio
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ["PILLION_CACHE"]) / "clients"
PILLION = os.environ["PILLION"]
# The scripted model of the stories: one prompt for each thing that a client does.
MODEL = f"scripted:{HERE / 'turns.json'}"
PIECES = 9
GREETING = "Hello, stranger: this comes in nine small pieces."

try:
    fetched = (CACHE / "requirements.txt").read_text() == (HERE / "requirements.txt").read_text()
except FileNotFoundError:
    fetched = False
if not fetched:
    sys.exit("the pinned Python packages are not there: run `bash scripts/setup-clients.sh`, then this again")
sys.path.insert(0, str(CACHE / "python"))


def same(found, wanted, what=""):
    if found != wanted:
        raise AssertionError(f"{what}\n  expected: {wanted!r}\n  found:    {found!r}")


async def within(what, awaitable):
    try:
        return await asyncio.wait_for(awaitable, 20)
    except asyncio.TimeoutError:
        raise AssertionError(f"waited 20 s for {what}") from None


class Updates:
    """The `session/update` notifications of one session, in the order in which the client handed them over. Each is a
    pair: pillion's part of `_meta`, and the update."""

    def __init__(self):
        self.all = []
        self._waiting = []

    def push(self, meta, update):
        self.all.append((meta, update))
        if update["sessionUpdate"] == "agent_message_chunk":
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                future.set_result(meta)

    def next_text(self):
        """The first text from now on: the next turn runs. Ask before the request that causes it."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return within("the first text of a turn", future)

    def of_turn(self, turn_id):
        return [(meta, update) for meta, update in self.all if meta.get("turnId") == turn_id]

    def text(self, turn_id):
        turn = self.of_turn(turn_id)
        return "".join(update["content"]["text"] for _, update in turn if update["sessionUpdate"] == "agent_message_chunk")

    def same_last(self, result):
        """All that a turn had to say came before its answer. To be called in the very moment the answer is there."""
        last = self.of_turn(result["turnId"])[-1][0]["seq"]
        same(last, result["lastUpdate"], "an update came after the answer of its turn")

    def gapless(self):
        same([meta["seq"] for meta, _ in self.all], list(range(1, len(self.all) + 1)), "the numbers of the updates")


def asker(client, transport, method, cause, id=None, initiator="unknown", source=None):
    """What an abort must say when this client asked for it in this message."""
    request = {"method": method, "id": id, "client": client, "transport": transport}
    return {"request": request, "cause": cause, "initiator": initiator, "source": source}


def asker_of(abort):
    request = {key: value for key, value in abort["request"].items() if key != "connection_id"}
    return {"request": request, "cause": abort["cause"], "initiator": abort["initiator"], "source": abort.get("source")}

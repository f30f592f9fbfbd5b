"""send-digest: mails each user who asked for it what they have to do, once a local day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from functions.runtime.channels import DIGEST, Channels
from functions.runtime.mailer import Mailer
from functions.runtime.outages import Outages
from functions.runtime.triggers import cron
from functions.store.digests import Digests
from functions.tasks.digest import digest_mail
from functions.tasks.errors import Unavailable, Undeliverable

TICK = timedelta(seconds=15)
USERS = 200
"""Users a round."""


@cron("digest-tick", "@every 15s")
def send_digest(digests: Digests, mailer: Mailer, channels: Channels, outages: Outages, now: datetime) -> None:
    while digests.plan(now, USERS) == USERS:
        pass
    end = now + TICK
    while now < end and (digest := digests.claim(now)):
        link = channels.unsubscribe_url(UUID(digest.user_id), DIGEST)
        try:
            mail = digest_mail(digest, digests.tasks(digest), now=now, unsubscribe_url=link)
            if mail is not None:
                mailer.send(mail)
        except Undeliverable as error:
            digests.record(digest, "failed", now, str(error))
        except Unavailable as error:
            digests.record(digest, "pending", now, str(error))
            raise  # the server is down: the next tick goes on
        else:
            sent = partial(digests.record, digest, "sent" if mail else "empty", datetime.now(UTC))
            outages.sit_out(sent)  # else it would be sent again
        now = datetime.now(UTC)

"""What went back in time: an archive from a backup, a topic that was made again. Nothing is passed over in silence."""

from __future__ import annotations

import collections
import shutil
import time

from alerts import Sender
from broker import PATIENCE
from confluent_kafka.admin import AdminClient
from ground import Course, Ground
from reckoning import received, verify


def publish(course: Course, count: int) -> None:
    """One life of the broker: so many more alerts, archived and published."""
    course.sender.send(count)
    course.sender.flush()
    course.broker.start()
    course.broker.wait_until_received(course.sent.messages)
    course.broker.wait_for("delivery of every match", lambda: course.sent.matching <= course.tally.read())
    assert course.broker.stop() == 0, course.broker.log()


def change(course: Course, before: str, after: str) -> None:
    """Changes the broker's settings."""
    text = course.broker.settings.read_text()
    assert before in text
    course.broker.settings.write_text(text.replace(before, after))


def test_an_archive_put_back_from_a_backup_publishes_nothing_until_told_and_then_loses_nothing(ground: Ground):
    course = ground.run("backup")
    broker, archive = course.broker, course.broker.archive
    publish(course, 400)
    first = set(course.sent.matching)
    shutil.copytree(archive, archive.with_name("backup"))
    publish(course, 400)
    before = list(course.tally.ids)
    assert max(collections.Counter(before).values()) == 1
    shutil.rmtree(archive)
    archive.with_name("backup").rename(archive)
    # What the backup lacks is read again, in another order, with new alerts between.
    course.sender.send(300)
    course.sender.flush()
    for found in ("the output has matches up to", "here that is lsst/"):
        (broker.folder / "pitt.log").write_text("")
        broker.start()
        broker.wait_for(f"the word `{found}`", lambda found=found: found in broker.log())
        broker.wait_until_received(course.sent.messages)
        assert broker.stop() == 0, broker.log()
        assert 'output.restored = "again"' in broker.log()
    course.tally.read()
    assert course.tally.ids == before
    change(course, 'format = "json"', 'format = "json"\nrestored = "again"')
    broker.start()
    broker.wait_for("delivery of every match", lambda: course.sent.matching <= course.tally.read())
    assert broker.stop() == 0, broker.log()
    assert "going on after match" in broker.log()
    delivered = collections.Counter(course.tally.read_to_the_end())
    assert delivered.keys() == course.sent.matching
    # Only what the backup lacked came again.
    assert all(delivered[alert] == 1 for alert in first)
    assert all(delivered[alert] <= 2 for alert in delivered)
    answer = verify(ground.pitt, archive)
    assert answer["ok"] and answer["delivered"][0]["waiting"] == 0


def test_a_broker_killed_between_claim_and_commit_has_no_restored_archive(ground: Ground):
    # The archive's last committed number is behind the cursor.
    course = ground.killed_before_a_commit("claimed")
    assert received(course.broker.archive) == 0
    course.sender.send(300)
    course.sender.flush()
    course.broker.start()
    course.broker.wait_for("the new matches", lambda: course.sent.matching <= course.tally.read())
    assert course.broker.stop() == 0, course.broker.log()
    assert "restored" not in course.broker.log()
    delivered = collections.Counter(course.tally.read_to_the_end())
    assert delivered.keys() == course.sent.matching and max(delivered.values()) == 1


def test_a_topic_made_again_is_held_and_read_under_another_name(ground: Ground):
    course = ground.run("renewed")
    broker = course.broker
    publish(course, 200)
    admin = AdminClient({"bootstrap.servers": ground.stream.servers, "log_level": 0})
    admin.delete_topics(["renewed"])["renewed"].result(60)
    give_up = time.monotonic() + PATIENCE
    while "renewed" in admin.list_topics(timeout=30).topics:
        assert time.monotonic() < give_up, "the topic does not go"
        time.sleep(0.2)
    ground.create("renewed")
    # Longer than the old one, in every partition.
    sender = Sender(ground.stream.servers, "renewed", ground.alerts, first=course.sender.next_id)
    sender.send(800)
    sender.flush()
    broker.start()
    broker.wait_for("a word about it", lambda: "has another message at" in broker.log())
    time.sleep(3)
    assert received(broker.archive) == 200
    assert broker.stop() == 0, broker.log()
    change(course, 'name = "test"', 'name = "another"')
    broker.start()
    broker.wait_until_received(1000)
    broker.wait_for("the matches", lambda: sender.sent.matching <= course.tally.read())
    assert broker.stop() == 0, broker.log()
    assert max(collections.Counter(course.tally.read_to_the_end()).values()) == 1

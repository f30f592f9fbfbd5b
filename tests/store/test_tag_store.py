"""Tags by themselves: each change with its event, and never two of one name."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from functions.tasks.errors import AlreadyExists, NotFound
from functions.tasks.models import Caller
from functions.tasks.tags import color_of
from tests.store.world import NOW, World, together


@pytest.fixture
def ann(world: World) -> Caller:
    return world.user()


def names(world: World, caller: Caller) -> list[str]:
    return [tag.name for tag in world.tags.list(caller)]


class TestCreate:
    def test_makes_a_tag_with_a_color_of_its_own(self, world: World, ann: Caller) -> None:
        tag = world.tags.create(ann, "Home", None, NOW)
        assert (tag.name, tag.color) == ("Home", color_of("Home"))
        assert world.tags.list(ann) == [tag]
        (event,) = world.changes(ann)
        assert (event.type, event.entity_type, event.entity_id, event.seq) == ("tag.created", "tag", tag.id, 1)
        assert event.data == {"tag": tag.model_dump(mode="json")}

    def test_makes_a_tag_with_the_color_that_was_asked_for(self, world: World, ann: Caller) -> None:
        assert world.tags.create(ann, "Home", "#123456", NOW).color == "#123456"

    @pytest.mark.parametrize("name", ["Home", "HOME", "home"])
    def test_of_a_name_that_is_taken_is_refused(self, world: World, ann: Caller, name: str) -> None:
        world.add(ann, tags=["Home"])
        before = world.types(ann)
        with pytest.raises(AlreadyExists):
            world.tags.create(ann, name, None, NOW)
        assert world.types(ann) == before

    def test_of_one_name_at_once_is_once(self, world: World, ann: Caller) -> None:
        def create(number: int) -> UUID | None:
            try:
                return world.tags.create(ann, "Home", None, NOW).id
            except AlreadyExists:
                return None

        made = together(create, 8)
        assert len([tag for tag in made if tag]) == 1
        assert world.types(ann) == ["tag.created"]


class TestUpdate:
    def test_renames_it_in_every_task(self, world: World, ann: Caller) -> None:
        task = world.add(ann, tags=["Home"])
        (tag,) = task.tags
        new = world.tags.update(ann, tag.id, {"name": "House"}, NOW)
        assert (new.id, new.name, new.color) == (tag.id, "House", tag.color)
        assert world.tasks.get(ann, task.id).tags == [new]
        assert world.types(ann)[-1] == "tag.updated"

    def test_recolors_it(self, world: World, ann: Caller) -> None:
        tag = world.tags.create(ann, "Home", None, NOW)
        assert world.tags.update(ann, tag.id, {"color": "#123456"}, NOW).color == "#123456"
        assert names(world, ann) == ["Home"]

    def test_changes_the_case_of_its_own_name(self, world: World, ann: Caller) -> None:
        tag = world.tags.create(ann, "Home", None, NOW)
        assert world.tags.update(ann, tag.id, {"name": "HOME"}, NOW).name == "HOME"

    def test_to_the_name_of_another_is_refused(self, world: World, ann: Caller) -> None:
        world.tags.create(ann, "Home", None, NOW)
        work = world.tags.create(ann, "Work", None, NOW)
        with pytest.raises(AlreadyExists):
            world.tags.update(ann, work.id, {"name": "HOME"}, NOW)
        assert names(world, ann) == ["Home", "Work"]

    def test_finds_tasks_by_the_new_name(self, world: World, ann: Caller) -> None:
        (tag,) = world.add(ann, tags=["Home"]).tags
        world.tags.update(ann, tag.id, {"name": "House"}, NOW)
        again = world.add(ann, tags=["house"])
        assert [each.id for each in again.tags] == [tag.id]


class TestDelete:
    def test_takes_it_from_every_task(self, world: World, ann: Caller) -> None:
        task = world.add(ann, tags=["Home", "Work"])
        home = next(tag for tag in task.tags if tag.name == "Home")
        assert world.tags.delete(ann, home.id, NOW) == home
        assert [tag.name for tag in world.tasks.get(ann, task.id).tags] == ["Work"]
        event = world.changes(ann)[-1]
        assert (event.type, event.entity_id, event.data["tag"]["name"]) == ("tag.deleted", home.id, "Home")

    def test_leaves_its_name_free(self, world: World, ann: Caller) -> None:
        tag = world.tags.create(ann, "Home", None, NOW)
        world.tags.delete(ann, tag.id, NOW)
        assert world.tags.create(ann, "Home", None, NOW).id != tag.id


def test_what_is_not_there_is_not_found(world: World, ann: Caller) -> None:
    with pytest.raises(NotFound):
        world.tags.update(ann, uuid4(), {"name": "x"}, NOW)
    with pytest.raises(NotFound):
        world.tags.delete(ann, uuid4(), NOW)
    assert world.types(ann) == []


def test_are_listed_by_name(world: World, ann: Caller) -> None:
    for name in ("work", "Home", "garden"):
        world.tags.create(ann, name, None, NOW)
    assert names(world, ann) == ["garden", "Home", "work"]


def test_a_user_without_tags_has_none(world: World, ann: Caller) -> None:
    assert world.tags.list(ann) == []

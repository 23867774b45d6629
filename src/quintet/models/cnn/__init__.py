"""The members of the cnn family."""

from quintet.models.member import Member

MEMBERS: dict[str, Member] = {}

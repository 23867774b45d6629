"""The members of the transformer family."""

from quintet.models.member import Member

MEMBERS: dict[str, Member] = {}

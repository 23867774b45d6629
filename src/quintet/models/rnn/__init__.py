"""The members of the rnn family."""

from quintet.models.member import Member

MEMBERS: dict[str, Member] = {}

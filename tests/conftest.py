"""What holds for every test."""

from hypothesis import settings

# A busy machine is no bug: how long an example takes says nothing about whether it is right.
settings.register_profile("thinkling", deadline=None)
settings.load_profile("thinkling")

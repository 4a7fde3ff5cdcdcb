"""What tests of studies share."""


def failing_replace(source, target):
    """In place of `os.replace`, on a full disk."""
    raise OSError("disk full")

"""`autograder new SLUG`: a small assignment that works, to be changed into the one that is wanted.

create   writes the files, each from one in files/ with the names put in
"""

from autograder.new.create import create

__all__ = ["create"]

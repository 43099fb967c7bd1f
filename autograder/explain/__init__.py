"""Why a submission earned what it did, for staff: `autograder grade --explain`.

witness    a judge that keeps the calls of each case
compare    each call beside the reference's answer, and beside each known mistake
say        all of it as text
command    finds the submission, in a file or in an output folder, and its assignment
"""

"""Gradescope: the zip that is uploaded, what runs there, and a way to be sure before uploading.

requirements  what grading needs, pinned
build         the zip
files/        setup.sh and run_autograder, as they lie in the zip

on Gradescope
place         the folders there, and who may read them
metadata      what Gradescope says about a submission: due date, earlier submissions
run           the entry point: guards time and memory, and sees to it that there is a results.json
judge         grades one submission, writing results as they come
results       results.json in Gradescope's schema, with what it offers

before uploading
schema        results.json as Gradescope's documentation describes it
limits        memory and processor time as in Gradescope's container
jail          a clean root with the documented folders
emulator      runs a zip on a submission; what went wrong
view          what a student and what staff would see
"""

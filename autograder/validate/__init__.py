"""The graders are graded: every suite is examined through the real grader, and one table says what was found.

model          what an examination is, and what it finds
digests        what a piece of an examination has read, as a digest: what is known already is not done again
kept           finished pieces, in a file for each assignment
bench          in a judge's process: submissions made here, graded as a student's are
crew           several such processes
command        `autograder validate`: what is to be done, doing it, saying what was found
table          the table and the reasons below it; the JSON file
examinations   the list of all examinations; each is one of the other modules
"""

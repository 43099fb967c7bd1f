"""What is written about graded submissions.

feedback     the words that a student reads about one question
gradescope   one submission as `results.json` in Gradescope's schema
grades       all submissions as `grades.csv`
files        writing all of it to the output folder
"""

from autograder.report.files import Output

__all__ = ["Output"]

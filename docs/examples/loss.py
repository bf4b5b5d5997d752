"""A loss of one's own: the absolute error of the margin between a relevant passage and another one."""

import distilkit
from distilkit.strategies.terms import MarginTerm


def margin_mae(student_positive, student_negative, teacher_positive, teacher_negative, scale=1.0, normaliser=None):
    """The mean absolute error of the student's margins against the teacher's."""
    errors = (student_positive - student_negative) - (teacher_positive - teacher_negative)
    return scale * errors.abs().sum() / (len(errors) if normaliser is None else normaliser)


distilkit.register_loss("margin_mae")(MarginTerm.of(margin_mae))

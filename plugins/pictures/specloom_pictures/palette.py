"""Colours of decisions, the same in pictures, on the page of a report and in those of ``predict``.

They are of the palette of Okabe and Ito (2008, "Color Universal Design"): those of true positives,
false positives and false negatives stay apart from each other and from every grey with each of the
three kinds of dichromatic vision, and, as lightness rises from false to true positive to false
negative, in black and white. ``EXCLUDED`` is no grey, so that it never stands for a value.
"""

FALSE_POSITIVE = (213, 94, 0)  # vermilion
FALSE_NEGATIVE = (240, 228, 66)  # yellow
TRUE_POSITIVE = (86, 180, 233)  # sky blue
EXCLUDED = (70, 80, 105)  # slate
DECIDED = (255, 194, 10)  # light orange
"""Decided pixels where no mask says whether they are right."""

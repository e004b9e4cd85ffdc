"""How far numbers may be from probabilities and still count as such, one name for each question that is asked."""

# The doctor's: it accuses, so it is strict. A sum that should be 1 may be off by what four printed decimals lose;
# rounding in the dtype comes on top of it.
SUM_TOLERANCE = 1e-3
# For logits on disk: nothing is accused, the user is asked what they are. Probabilities are stored there with two or
# three decimals or in 16 bits, and to take them for logits unasked gives wrong numbers throughout; so it is generous.
SUM_TOLERANCE_TO_ASK = 0.01
# Few decimals of many classes may be off by more together, yet by no more than this.
MOST_TOLERANCE_TO_ASK = 0.2
# A probability below −1e-6 is more than rounding; its term in the loss is that times log p.
NEGATIVE_TOLERANCE = 1e-6
# Of the rows that say anything, more than this share must look like probabilities before anybody is asked.
SHARE_TO_ASK = 0.5

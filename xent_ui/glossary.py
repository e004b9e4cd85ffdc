"""The glossary: each word and letter of the pages in one sentence, with its formula, and where it can be seen.

A page explains a term where it first stands there: in the tooltip of a heading, a number or a widget (`explained`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from xent_ui.text import N_, _, markdown_escaped


@dataclass(frozen=True)
class Term:
    """A word or letter.

    Attributes:
      name: as it stands on a page, a letter followed by its word.
      sentence: what it is.
      formula: as plain text; "" where there is none.
      page: the title of the page on which it is best seen.
      letters: by which a formula names it, as plain text and as LaTeX.
    """

    name: str
    sentence: str
    formula: str
    page: str
    letters: tuple[str, ...] = ()


TERMS = {
    "logit": Term(
        N_("z, logit"),
        N_("The raw score that the model gives a class: any number, and only its distance to the row's others counts."),
        "",
        N_("One example"),
        ("z",),
    ),
    "probability": Term(
        N_("p, probability"),
        N_("What the model thinks of a class after softmax: each is above 0, and the p of a row sum to 1."),
        "p = exp(z) / sum of exp(z)",
        N_("Step by step"),
        ("p",),
    ),
    "target": Term(
        N_("y, target"),
        N_("What was right: 1 for the label and 0 for the others, or a share for each class (a soft label)."),
        "",
        N_("Batch"),
        ("y",),
    ),
    "effective target": Term(
        N_("v, effective target"),
        N_("What the loss compares p with: y after label smoothing, times the class weights; 0 in an ignored row."),
        "v = w · ((1 − ε)·y + ε/C)",
        N_("Batch"),
        ("v",),
    ),
    "target sum": Term(
        N_("S, sum of the target"),
        N_("The sum of a row of v: 1, unless class weights or shares that do not sum to 1 change it."),
        "S = sum of v",
        N_("Batch"),
        ("S",),
    ),
    "smoothing": Term(
        N_("ε, label smoothing"),
        N_("The part of the target that is taken from the label and spread evenly over all C classes."),
        "y' = (1 − ε)·y + ε/C",
        N_("One example"),
        ("ε", r"\varepsilon", "y'"),
    ),
    "classes": Term(N_("C, classes"), N_("How many classes there are."), "", N_("Batch"), ("C",)),
    "rows": Term(N_("N, rows"), N_("How many rows the batch has; each row is one example."), "", N_("Batch"), ("N",)),
    "divisor": Term(
        N_("D, divisor"),
        N_("What the reduction divides the sum of the row losses by: for mean the rows that count, for sum 1."),
        "L = sum of ℓ / D",
        N_("Compare settings"),
        ("D",),
    ),
    "temperature": Term(
        N_("T, temperature"),
        N_("The logits are divided by it before softmax: 1 changes nothing, more brings the p closer together."),
        "p = softmax(z/T)",
        N_("One example"),
        ("T",),
    ),
    "weight": Term(
        N_("w, class weight"),
        N_("How much a class counts: it multiplies what the class adds to the loss."),
        "",
        N_("Compare settings"),
        ("w",),
    ),
    "row loss": Term(
        N_("ℓ, row loss"),
        N_("How surprised the model is by the label of one row: 0 when it was sure of it, more the less p it gave."),
        "ℓ = −log p(label)",
        N_("Step by step"),
        ("ℓ", r"\ell"),
    ),
    "loss": Term(
        N_("L, loss"),
        N_("The row losses in one number, which training makes small; mean is their average."),
        "L = sum of ℓ / D",
        N_("Batch"),
        ("L",),
    ),
    "nats": Term(
        N_("nats"),
        N_("The unit of a loss with the natural logarithm: 0.6931 nats, ln 2, are one bit."),
        "",
        N_("Batch"),
    ),
    "gradient": Term(
        N_("∂L/∂z, gradient"),
        N_("How fast the loss grows with a logit: below 0 the loss falls when the logit rises."),
        "∂L/∂z = (p − y)/N",
        N_("Step by step"),
        ("∂L/∂z", "∂ℓ/∂z", "g", r"\partial"),
    ),
    "pull": Term(
        N_("pull"),
        N_("The gradient with its sign turned: a step of descent moves a logit that way, and the larger, the further."),
        "−∂L/∂z",
        N_("One example"),
    ),
    "argmax": Term(
        N_("argmax"),
        N_("The class with the largest logit, which the model predicts: ✓ where it is the label, ✗ where it is not."),
        "",
        N_("Batch"),
    ),
    "accuracy": Term(
        N_("accuracy"),
        N_("In how many rows the class with the largest logit is the label."),
        "",
        N_("Batch"),
    ),
    "bits": Term(N_("bits"), N_("The loss with the logarithm to base 2."), "L / ln 2", N_("Batch")),
    "perplexity": Term(
        N_("perplexity"),
        N_("Among how many equally likely classes one would have to guess to lose as much."),
        "exp(L)",
        N_("Batch"),
    ),
    "floor": Term(
        N_("floor"),
        N_("The least loss that the target allows, its entropy, reached where p is the target; 0 for hard labels."),
        "−sum of y·log y",
        N_("One example"),
    ),
    "uniform guess": Term(
        N_("uniform guess"),
        N_("The loss of who gives every class the same probability."),
        "ln C",
        N_("Batch"),
    ),
    "softmax twice": Term(
        N_("softmax twice"),
        N_("The least loss that is left if the logits are themselves a softmax already, which is a common mistake."),
        "ln(e + C − 1) − 1",
        N_("Doctor"),
    ),
    "mixing": Term(
        N_("λ, share of the first label"),
        N_("A mixed target has λ of one class and 1 − λ of another, as mixup makes it."),
        "y = λ·first + (1 − λ)·second",
        N_("One example"),
        ("λ", r"\lambda"),
    ),
    "simplex": Term(
        N_("simplex"),
        N_("The triangle of all probabilities of three classes: a corner is a sure class, the middle is 1/3 each."),
        "p₀ + p₁ + p₂ = 1",
        N_("One example"),
    ),
    "learning rate": Term(
        N_("η, learning rate"),
        N_("How far one step of descent goes along the gradient."),
        "z ← z − η·∂L/∂z",
        N_("Gradient descent"),
        ("η", r"\eta"),
    ),
    "momentum": Term(
        N_("b, momentum"),
        N_("A running sum of the gradients, in which each older one counts 0.9 of the next."),
        "b ← 0.9·b + g",
        N_("Gradient descent"),
    ),
    "Adam": Term(
        N_("Adam's averages"),
        N_("Running averages of g and of its square, with a hat once they are corrected for their start at 0."),
        "m̂ of g, ŝ of g²",
        N_("Gradient descent"),
    ),
    "gradient norm": Term(
        N_("gradient norm"),
        N_("The length of the whole gradient: all its numbers squared, added, and the root of that; 0 at rest."),
        "‖∂L/∂z‖",
        N_("Gradient descent"),
    ),
    "margin": Term(
        N_("margin"),
        N_("How far the label's logit lies above the largest other: below 0 the model prefers another class."),
        "z(label) − largest other z",
        N_("Your logits"),
    ),
    "entropy": Term(
        N_("entropy"),
        N_("How unsure the model is, whatever the label: 0 when one class has all of p, ln C when all have the same."),
        "−sum of p·log p",
        N_("Your logits"),
    ),
    "EL2N": Term(
        N_("EL2N"),
        N_("The error of a row: the length of p less the target, from 0 to √2; large where the label surprises."),
        "‖p − y‖",
        N_("Your logits"),
    ),
    "AUM": Term(
        N_("AUM, area under the margin"),
        N_("The mean margin of a row over the epochs: below 0 the model preferred another class most of the time."),
        "mean of the margins",
        N_("Your logits"),
    ),
    "predicted change": Term(
        N_("predicted change, ⟨g, Δz⟩"),
        N_("What the gradient promises of a step Δz of the logits: each g times how far its logit moves, added up."),
        "sum of g·Δz",
        N_("Gradient descent"),
        ("Δz",),
    ),
    "Jacobian": Term(
        N_("J, Jacobian of softmax"),
        N_("How fast each p moves with each logit: row k has p_k·(1 − p_k) in place k and −p_k·p_j in the others."),
        "J = diag(p) − p pᵀ",
        N_("Step by step"),
        ("J",),
    ),
    "fused": Term(
        N_("fused"),
        N_("Unfused takes softmax and then log, as on paper; fused takes log_softmax in one go, as PyTorch does."),
        "log p = z − log(sum of exp(z))",
        N_("Step by step"),
    ),
}
_LETTERS = {letter: name for name, term in TERMS.items() for letter in term.letters}
_FOUND = re.compile(
    "|".join(
        rf"(?<![^\W\d_]){re.escape(letter)}(?![^\W\d_'])" if letter[0] != "\\" else rf"{re.escape(letter)}(?![a-zA-Z])"
        for letter in sorted(_LETTERS, key=len, reverse=True)
    )
)


def explained(*names: str) -> str:
    """These terms for a tooltip, as Markdown: one paragraph each."""
    return "\n\n".join(_paragraph(TERMS[name]) for name in dict.fromkeys(names))


def explained_letters(formula: str, *names: str) -> str:
    """These terms, and those that the letters of a formula name, for its tooltip."""
    return explained(*names, *letters_in(formula))


def letters_in(formula: str) -> list[str]:
    """The terms that the letters of a formula name, in the order in which they stand there.

    Example:
      >>> letters_in("(S·p − v)/3"), letters_in(r"\\eta\\,g")
      (['target sum', 'probability', 'effective target'], ['learning rate', 'gradient'])
    """
    return list(dict.fromkeys(_LETTERS[found] for found in _FOUND.findall(formula)))


def sentence(name: str) -> str:
    """What a term is, as plain text: for tooltips of our own components."""
    term = TERMS[name]
    return f"{_(term.name)}: {_(term.sentence)}" + (f" {term.formula}" if term.formula else "")


def _paragraph(term: Term) -> str:
    formula = f" `{term.formula}`" if term.formula else ""
    seen = _("See: {page}.").format(page=_(term.page))
    return f"**{markdown_escaped(_(term.name))}**: {markdown_escaped(_(term.sentence))}{formula} *{seen}*"

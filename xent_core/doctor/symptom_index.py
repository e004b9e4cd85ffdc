"""SYMPTOMS: how each mistake shows itself, what to do about it first, and the words by which people search for it."""

from __future__ import annotations

from dataclasses import dataclass

from xent_core.language import N_


@dataclass(frozen=True)
class Symptom:
    """What somebody meets who has made a mistake of the doctor's.

    Attributes:
      seen: what one sees in training, in English until it is shown.
      first: what one does in the model or in the data, before any tensor is repaired; likewise.
      words: more words that people use, for the search alone.
    """

    seen: str
    first: str
    words: str = ""


_NOT_A_TENSOR = N_("PyTorch stops at once: the argument must be Tensor.")
_LOST_MASK = N_("The loss is inf or NaN although only other classes are masked.")

SYMPTOMS = {
    "logits-type": Symptom(
        _NOT_A_TENSOR,
        N_("Pass what the model returns as one tensor: torch.stack of a list, .logits of an output object."),
    ),
    "logits-dtype": Symptom(
        N_("PyTorch stops: log_softmax is not implemented for this dtype."),
        N_("Pass the output of the last layer, not predictions: leave argmax, round and long out."),
        "integer int long bool argmax predicted classes sparse complex",
    ),
    "logits-shape": Symptom(
        N_("PyTorch stops: dimension out of range."),
        N_("Keep an axis for the classes: the model gives (C,) or (N, C); look for a max, sum or squeeze too many."),
        "scalar zero dimensional squeeze",
    ),
    "target-type": Symptom(_NOT_A_TENSOR, N_("Make the labels a tensor in the Dataset: torch.tensor(labels)."), "list"),
    "target-dtype": Symptom(
        N_("PyTorch stops: expected Long, found Float or Int."),
        N_("Store class labels as whole numbers of int64 in the Dataset: torch.tensor(labels, dtype=torch.long)."),
        "float32 int32 expected scalar type long dtype labels",
    ),
    "target-shape": Symptom(
        N_("PyTorch stops: multi-target not supported, or a target size that it does not expect."),
        N_("Give one label for each row: drop the axis of one where the labels are made, often with squeeze."),
        "0D 1D multi target unsqueeze column dataloader",
    ),
    "target-out-of-range": Symptom(
        N_("PyTorch stops: Target … is out of bounds; on a GPU: device-side assert triggered."),
        N_(
            "Compare target.max() with the outputs of the last layer, C: labels are 0…C − 1. Either the last layer has "
            "too few outputs, nn.Linear(…, C); or the labels count from 1; or a mark such as 255 needs ignore_index."
        ),
        "cuda error device side assert index out of bounds num_classes too few outputs in the last layer linear "
        "labels start at one off by one padding 255 -1",
    ),
    "class-axis": Symptom(
        N_("PyTorch stops: Expected target size …, with logits of three or more axes."),
        N_("Put the classes on axis 1, or flatten: logits.flatten(0, -2) with target.flatten()."),
        "sequence transformer language model tokens batch time vocabulary segmentation channels last permute transpose",
    ),
    "batch-mismatch": Symptom(
        N_("PyTorch stops: Expected input batch_size … to match target batch_size …."),
        N_("Flatten or cut logits and target alike, and look for a view or a reshape that mixes rows with classes."),
        "view reshape flatten last batch different number of rows",
    ),
    "int-one-hot": Symptom(
        N_("PyTorch stops: Expected floating point type for target with class probabilities."),
        N_("Pass the class numbers themselves, or F.one_hot(…).float()."),
        "one hot encoded labels F.one_hot to_categorical",
    ),
    "soft-target-ignore-index": Symptom(
        N_("PyTorch stops: ignore_index is not supported for floating point target."),
        N_("Leave the rows out before the loss: probabilities know no number that stands for ignored."),
        "mixup padding soft labels",
    ),
    "weight-type": Symptom(
        _NOT_A_TENSOR, N_("Make the weights a tensor: weight=torch.tensor([…])."), "class weights list"
    ),
    "weight-shape": Symptom(
        N_("PyTorch stops: weight tensor should be defined for all classes."),
        N_("Give one weight for each class, C in all; weights of rows belong after reduction='none'."),
        "class weights per sample weight length imbalance",
    ),
    "weight-dtype": Symptom(
        N_("PyTorch stops: expected scalar type Float but found Double."),
        N_("Make the weights in the dtype of the logits: torch.tensor(…, dtype=torch.float32)."),
        "class weights numpy float64 compute_class_weight sklearn",
    ),
    "reduction": Symptom(
        N_("PyTorch stops: is not a valid value for reduction."),
        N_('Write "mean", "sum" or "none".'),
        "average batchmean",
    ),
    "label-smoothing": Symptom(
        N_("PyTorch stops: label_smoothing must be between 0.0 and 1.0."),
        N_("Write the share: 0.1 for ten percent."),
        "",
    ),
    "ignore-index": Symptom(
        N_("PyTorch stops: ignore_index must be int."), N_("Write a whole number: -100 is the default."), "float none"
    ),
    "softmax-applied-twice": Symptom(
        N_(
            "The loss is stuck and too high although the accuracy is right, and learning is slow: "
            "with ten classes it never falls below 1.4612."
        ),
        N_(
            "Remove the softmax layer at the end of the model (nn.Softmax, F.softmax, softmax(dim=1)): "
            "F.cross_entropy and nn.CrossEntropyLoss apply it themselves."
        ),
        "plateau stops decreasing does not go down too high double sigmoid activation last layer probabilities "
        "keras good correct small gradients learns slowly converge",
    ),
    "class-axis-ambiguous": Symptom(
        N_("Nothing stops, and the loss hardly falls: as many classes as steps, so that PyTorch takes either axis."),
        N_("Flatten both: logits.flatten(0, -2) and target.flatten(). Then no axis can be mistaken."),
        "sequence transformer permute transpose not learning square",
    ),
    "single-class": Symptom(
        N_("The loss is 0 from the first step on, and nothing is learned."),
        N_("For yes or no, take nn.BCEWithLogitsLoss with the one output, or give the last layer two outputs."),
        "binary classification one output zero always sigmoid gradient zero",
    ),
    "non-finite-logits": Symptom(
        N_("The loss is NaN after some steps, and stays so."),
        N_(
            "Find the step that made the first NaN: lower the learning rate, clip the gradients, and look for "
            "log(0), 0/0 or an overflow in the model."
        ),
        "inf infinite diverges explodes exploding gradients becomes turns suddenly later",
    ),
    "all-ignored": Symptom(
        N_("The loss is NaN in some batches, while every logit is finite."),
        N_("Leave batches out in which every label is ignored, such as prompts cut off before the answer."),
        "padding only prompt truncated -100 some steps suddenly language model empty",
    ),
    "neg-inf-with-smoothing": Symptom(
        _LOST_MASK,
        N_("Leave label_smoothing at 0 where classes are masked, or mask with a large finite number."),
        "action mask masked_fill infinite",
    ),
    "neg-inf-with-soft-target": Symptom(
        _LOST_MASK,
        N_("Mask with a large finite number such as -1e9, or pass class numbers instead of probabilities."),
        "action mask masked_fill distillation infinite",
    ),
    "soft-target-negative": Symptom(
        N_("The loss is negative, or falls below 0."),
        N_("Find where the target goes below 0: an extrapolation, or a subtraction."),
        "",
    ),
    "soft-target-masked-rows": Symptom(
        N_("The loss is huge or negative, with rows of −100 among the probabilities."),
        N_("Leave these rows out before the loss: ignore_index knows class numbers alone."),
        "padding mask",
    ),
    "soft-target-not-normalised": Symptom(
        N_("The loss is several times as high as it should be, and its size changes with the target."),
        N_("Divide each row of the target by its sum where it is made: counts and votes are no probabilities yet."),
        "votes counts multi label multilabel several classes scale",
    ),
    "weight-value": Symptom(
        N_("The loss is NaN, inf or negative as soon as weights are given."),
        N_("Look for a class without examples: one divided by its count is infinite. Use clamp(min=1)."),
        "class weights inverse frequency imbalance division by zero",
    ),
    "weighted-mean-denominator": Symptom(
        N_("Class weights change nothing in a batch of one, or the loss depends on which labels share a batch."),
        N_("Divide by the rows yourself where that is meant: reduction='sum', then / len(target)."),
        "class weights imbalance no effect batch size gradient accumulation mean",
    ),
    "zero-total-weight": Symptom(
        N_("The loss is NaN in some batches, with class weights."),
        N_("Give every class that can be a label a weight above 0, or add up with reduction='sum'."),
        "class weights zero suddenly",
    ),
    "half-precision-overflow": Symptom(
        N_("The loss is inf or NaN in float16, and fine in float32."),
        N_("Compute the loss in float32: autocast does so, or pass logits.float()."),
        "fp16 half amp mixed precision autocast bf16 bfloat16 overflow",
    ),
    "half-precision-vanishing-gradient": Symptom(
        N_("Learning stops early in 16 bits while the loss is not yet 0."),
        N_("Compute the loss in float32: autocast does so, or pass logits.float()."),
        "fp16 half amp mixed precision bf16 bfloat16 underflow zero gradient gradscaler",
    ),
    "outputs-in-unit-interval": Symptom(
        N_("The loss falls a little and then stays near ln C − 1; all outputs lie between 0 and 1."),
        N_("Remove the sigmoid at the end of the model: softmax, which is inside the loss, takes its place."),
        "sigmoid activation last layer nn.Sigmoid F.sigmoid multi label bounded outputs",
    ),
    "outputs-non-negative": Symptom(
        N_("Many logits are exactly 0 and none is negative; some classes are never learnt."),
        N_("Remove the ReLU after the last layer: logits may be negative."),
        "relu activation last layer nn.ReLU F.relu zero outputs dead",
    ),
    "outputs-bounded": Symptom(
        N_("All logits lie between −1 and 1, and the loss cannot come near 0."),
        N_("Remove the tanh after the last layer; cosine similarities need a scale, such as 10 or a learnt one."),
        "tanh activation last layer nn.Tanh cosine similarity normalised clamp bounded",
    ),
    "predictions-as-logits": Symptom(
        N_("The loss is one of two numbers in each row, and nothing is learnt."),
        N_("Pass the output of the last layer: leave argmax, one_hot and threshold out before the loss."),
        "argmax one_hot predictions requires grad does not require grad hard",
    ),
    "logits-negated": Symptom(
        N_("The accuracy is far below chance, and the loss grows while the model learns."),
        N_("Turn the sign of the outputs: a distance is small where a logit is large."),
        "minus sign distance maximise gradient ascent inverted",
    ),
    "labels-permuted": Symptom(
        N_("The accuracy of a good model is near 0: each class is taken for another one, always the same."),
        N_("Number the labels as in training: compare class_to_idx or the list of the names; 1…C wants a 1 taken off."),
        "off by one shifted labels order of classes class_to_idx mapping permuted reversed swapped alphabetical",
    ),
    "worse-than-chance": Symptom(
        N_("The accuracy is below that of a guess."),
        N_("Look for what keeps the label from winning: a margin or a mask at the label, or a sign."),
        "below random accuracy worse than guessing margin arcface mask",
    ),
    "finite-mask-at-label": Symptom(
        N_("The loss is around 10⁴ or 10⁹ in some batches, and never inf."),
        N_("Leave rows out whose label is masked, or mend the mask: ignore_index is for rows, a mask for classes."),
        "-1e9 -1e4 finfo.min masked_fill mask huge loss large finite",
    ),
    "finite-mask-with-smoothing": Symptom(
        N_("The loss is in the thousands or millions as soon as label_smoothing is above 0, with masked classes."),
        N_("Use no label_smoothing where classes are masked, or smooth over the classes that are left."),
        "-1e9 -1e4 finfo.min masked_fill mask huge loss label smoothing",
    ),
    "padding-columns": Symptom(
        N_("The loss at the start is above ln of the number of real classes, and stays a little too high."),
        N_("Give the last layer as many outputs as there are classes, or mask the columns beyond."),
        "vocabulary padded multiple of 64 128 unused tokens resize_token_embeddings extra outputs too many classes",
    ),
    "weight-proportional-to-counts": Symptom(
        N_("Rare classes are never predicted, though the classes are weighted."),
        N_("Turn the weights round: N / (C·count) of each class, not count / N."),
        "class weights imbalanced frequency bincount inverse minority class ignored compute_class_weight",
    ),
    "huge-logits": Symptom(
        N_("The loss jumps between 0 and thousands."),
        N_("Lower the learning rate, clip the gradient, normalise before the last layer, or add a z-loss."),
        "diverges large logits drift unstable spikes learning rate z_loss logit norm",
    ),
    "labels-not-shifted": Symptom(
        N_("The loss of a language model falls to 0 quickly, and what it generates repeats its input."),
        N_("Shift the labels by one: logits[:, :-1] against tokens[:, 1:]."),
        "next token shift causal lm gpt copy repeats generation perplexity 1 language model",
    ),
    "labels-shifted-twice": Symptom(
        N_("A pretrained language model has a loss near that of a guess, and gets worse when it is fine-tuned."),
        N_("Pass labels=input_ids: models of transformers shift them themselves."),
        "next token shift causal lm gpt transformers huggingface labels language model twice",
    ),
    "padding-counted": Symptom(
        N_("The loss is low from early on, and lower the longer the longest row of a batch is."),
        N_("Set labels to -100 where tokens are padding: labels[attention_mask == 0] = -100."),
        "pad token padding collate attention mask ignore_index eos language model sequence",
    ),
    "prompt-not-masked": Symptom(
        N_("A fine-tuned model continues with questions instead of answers."),
        N_("Set labels of the prompt to -100, so that answers alone count."),
        "instruction tuning sft prompt completion only response mask chat",
    ),
    "boundary-crossed": Symptom(
        N_("Nothing one sees: the loss of packed rows is a little too high."),
        N_("Set the label behind each separator to -100, and keep attention within a text."),
        "packing packed sequences eos separator document boundary concatenated",
    ),
    "micro-batch-denominators": Symptom(
        N_("The loss differs with the number of accumulation steps."),
        N_("Add up the sums of the micro-batches and divide by the number of all their rows."),
        "gradient accumulation steps micro batch mean of means num_items_in_batch",
    ),
    "constant-logits": Symptom(
        N_("Every row gets the same prediction, and the loss stays at the entropy of the labels."),
        N_("Follow the input to the last layer: a dead ReLU, a mean over the wrong axis, or a detach loses it."),
        "same output for every input identical predictions collapsed dead network mean over batch always one class",
    ),
    "unrelated": Symptom(
        N_("The model is sure and right no more often than by chance, on data that it should know."),
        N_("Check that inputs and labels are shuffled together, and sorted by the same key."),
        "shuffled labels order mismatch dataloader sampler sorted join index accuracy chance evaluation random",
    ),
    "ignored-class-still-competes": Symptom(
        N_("The class that is ignored is predicted all the same."),
        N_("Give no output to a class that never counts, or set its logit to -inf before the loss."),
        "background void padding token ignore_index segmentation",
    ),
    "log-probs-as-logits": Symptom(
        N_("Nothing: loss and gradient are right, and take longer than they need."),
        N_("Remove log_softmax at the end of the model, or keep it and use nn.NLLLoss."),
        "logsoftmax LogSoftmax layer nll",
    ),
    "saturated": Symptom(
        N_("The loss is exactly 0 or very high, and some rows no longer learn."),
        N_(
            "Right rows need nothing; for large logits lower the learning rate, or use label_smoothing or weight decay."
        ),
        "overconfident confident probability one zero large logits",
    ),
}

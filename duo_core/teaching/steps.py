"""The course's text: ten steps, each with one idea, a question, and the terms it uses."""

from collections.abc import Mapping
from dataclasses import dataclass

REAL_SET = "cifar10"
"""The shipped set that every step can be replayed on."""
REAL_PAIR = {"base": "resnet56", "sidekick": "regnety_002"}
REAL_PEERS = ("resnet44", "resnet32", "resnet20")
"""Models nearly as good as the real base (step 4)."""

_PAIR = {"set": REAL_SET, "split": "test", **REAL_PAIR}

MODEL = (
    "The experts are made up. An image of one of three classes gives an expert evidence for each class: its **quality** for the "
    "true class, 0 for the others, plus noise of standard deviation 1. Its logits are the evidence times its **boldness**; an "
    "honest expert's boldness is its quality, that of the base is twice its quality. The noises of two experts have a correlation, "
    "their **overlap**."
)
"""What the made-up data are, in markdown."""


@dataclass(frozen=True)
class Question:
    """A question that the step's text and control answer."""

    text: str
    options: tuple[str, ...]
    right: int
    """Place of the right option."""
    because: str
    """Why, with places for the numbers of `facts.facts`."""


@dataclass(frozen=True)
class Step:
    """One page of the course."""

    key: str
    title: str
    idea: str
    """60 to 90 words of markdown; terms link to their anchors in the glossary."""
    try_it: str
    """What to move and what to look at."""
    question: Question
    terms: tuple[str, ...]
    """Names in the glossary, in the order of first use."""
    explore: Mapping[str, str]
    """Query of the page that opens the same situation on the shipped set; `page` is its name; its models are the real pair."""


def _prose(text: str) -> str:
    """One line of text from several."""
    return " ".join(text.split())


STEPS = (
    Step(
        key="confidence",
        title="How sure is sure?",
        idea=_prose("""
            A classifier gives every class a score, its [logit](#logits). [Softmax](#softmax) turns an image's logits
            into probabilities that add up to 1. The class with the largest one is the prediction, and that
            probability is the [confidence](#confidence); 1 minus it is the [uncertainty](#softmax-uncertainty). A
            confidence sounds like a promise: of all images with a confidence of 0.9, nine in ten should be right.
            Each dot is an image whose true class is known, so we can count whether the model keeps its promise.
        """),
        try_it="Click a dot to see its logits and its softmax. Move the band to 90 % and read how many of its images are right.",
        question=Question(
            text="Of the images with a confidence of about 0.9, how many are right?",
            options=("Nine in ten, as the 0.9 says", "Clearly fewer than nine in ten", "Nearly all: 0.9 is a cautious figure"),
            right=1,
            because=_prose("""
                Of the {images} images between {low} and {high}, {share} are right, while the mean confidence is
                {confidence}. The model is [overconfident](#overconfidence), as many trained networks are.
            """),
        ),
        terms=("Logits", "Softmax", "Confidence", "Softmax uncertainty", "Overconfidence"),
        explore={"page": "diagnose", **_PAIR},
    ),
    Step(
        key="temperature",
        title="One number makes it honest",
        idea=_prose("""
            Multiply all logits by one number before softmax: a [temperature](#temperature). Below 1 it evens the
            probabilities out, above 1 it drives them apart. Which one is best? The [NLL](#nll) (negative
            log-likelihood, or cross-entropy) is high where the true class was given little probability. Fit takes the
            temperature with the lowest NLL on images set aside for it, the [fit split](#fit-split). The [reliability
            diagram](#reliability-diagram) shows accuracy, the share that is right, against confidence. On its
            diagonal the two agree; [ECE](#ece) is the mean distance from it.
        """),
        try_it="Move the temperature, then press Fit. Watch the points, the NLL, and the accuracy.",
        question=Question(
            text="You move the temperature from 1 to the fitted one. What happens to the accuracy?",
            options=(
                "It rises: honest probabilities lead to better decisions",
                "It falls a little: the model became less sure",
                "Nothing: the class with the largest logit still has the largest",
            ),
            right=2,
            because=_prose("""
                At 1 and at the fitted {temperature} the accuracy is the same {accuracy}: multiplying keeps the
                order of the classes. The NLL falls from {nll_before} to {nll_after} nats. (Many papers divide by
                a temperature; here it multiplies.)
            """),
        ),
        terms=("Temperature", "NLL", "Fit split", "Reliability diagram", "ECE", "Calibration temperature"),
        explore={"page": "diagnose", **_PAIR},
    ),
    Step(
        key="abstain",
        title="Saying “I don’t know”",
        idea=_prose("""
            A model may leave doubtful images to someone else. Sort the images by uncertainty and answer only the
            surest ones: [coverage](#coverage) is the share that is answered, [selective risk](#selective-risk) the
            share of these answers that is wrong. Plotted against each other they give the [risk-coverage
            curve](#risk-coverage-curve). The area under it is the [AURC](#aurc); it is small where mistakes are among
            the most uncertain images. [SAC@98](#sac98) is the largest coverage with 98 % of the answers right. No
            ranking beats the [oracle](#oracle), which knows every mistake.
        """),
        try_it="Move the coverage and read how many of the answers are wrong.",
        question=Question(
            text="The model answers only the half of the images that it is surest of. How many of these answers are wrong?",
            options=(
                "The same share as of all images",
                "About half the share of all images",
                "Less than a quarter of the share of all images",
            ),
            right=2,
            because=_prose("""
                Of all answers {all} are wrong, of the surest half {half}: most mistakes are among the uncertain
                images. Down to an error of 2 % the model may answer {sac98} of the images.
            """),
        ),
        terms=("Coverage", "Selective risk", "Risk-coverage curve", "AURC", "SAC@98", "Oracle"),
        explore={"page": "explore", **_PAIR},
    ),
    Step(
        key="ensemble",
        title="Two heads, twice the price",
        idea=_prose("""
            Now two models of the same quality look at each image. Averaging their logits, with an equal say for both,
            is a small [ensemble](#deep-ensemble). Where only one of them errs, the other can set it right; where both
            make the same mistake, neither can. So what the average gains depends on how many [errors they have in
            common](#errors-in-common). The price is always the same: every image goes through two models of one size,
            which takes twice the compute of one. Is there a cheaper way?
        """),
        try_it="Move the overlap: more overlap, more errors in common. Compare the average with each model alone.",
        question=Question(
            text="When does the average of two equally good models gain most?",
            options=(
                "When they make the same mistakes, so that each confirms the other",
                "When they make different mistakes",
                "It always gains the same: two are better than one",
            ),
            right=1,
            because=_prose("""
                One model alone is right on {base}. With an overlap of 0 the average reaches {apart}; with 0.95, where
                the second model repeats {common} of the first one's mistakes, only {alike}. The price is twice the
                compute either way.
            """),
        ),
        terms=("Deep ensemble", "Errors in common", "Multiply-add"),
        explore={"page": "explore", **_PAIR, "sidekick": REAL_PEERS[0], "metric": "accuracy"},
    ),
    Step(
        key="trap",
        title="The trap of an equal say",
        idea=_prose("""
            Twice the compute is a lot. A small second model, a [sidekick](#sidekick), may cost only a tenth of the
            large one, the [base](#base). But it knows less, and here it repeats many of the base's mistakes. Average
            the two as equals ([unweighted](#unweighted), each first calibrated by its own temperature) and the weaker
            one can outvote the better. Slide its quality down: at first the pair still beats the base; from some
            point on it is worse than the base alone, and you pay for it.
        """),
        try_it="Slide the quality of the sidekick down until the pair falls below the dashed line, the base alone.",
        question=Question(
            text="Made-up experts: the base is right on about 87 %, the sidekick on about 70 %. What does their average reach?",
            options=(
                "About 78 %: halfway between the two",
                "More than 87 %: two see more than one",
                "Less than 87 %, but well above 78 %",
            ),
            right=2,
            because=_prose("""
                With a sidekick at {sidekick} the pair reaches {pair}, the base alone {base}. The equal average is
                worse than the base wherever the sidekick alone stays below {break_even}.
            """),
        ),
        terms=("Sidekick", "Base", "Unweighted", "Calibration temperature", "Errors in common"),
        explore={"page": "explore", **_PAIR, "metric": "accuracy"},
    ),
    Step(
        key="weights",
        title="Let the data weigh them",
        idea=_prose("""
            Do not give the two an equal say: multiply each one's logits by a temperature of its own, T_base and
            T_sidekick, then add them. That is a [duo](#duo). Over the two temperatures the NLL on the fit split is a
            [bowl](#nll-bowl) with a single bottom, so the best weights can be found from anywhere. Each of [Newton's
            steps](#newton-step) replaces the bowl by a simpler, quadratic one that fits it nearby, and jumps to the
            bottom of that; a handful suffices. A sidekick that adds nothing gets almost no weight.
        """),
        try_it="Set both temperatures, then press Fit to go down step by step. Change the sidekick and fit again.",
        question=Question(
            text="You swap the sidekick for one whose logits say nothing about the image. Where is the bottom of the bowl?",
            options=(
                "At equal weights: two models, two equal shares",
                "Where the sidekick's temperature is about 0, so that the base is alone",
                "Nowhere: noise has no best weight",
            ),
            right=1,
            because=_prose("""
                The fit finds T_sidekick = {noise} and T_base = {base}, the base's temperature when alone
                ({alone}): the duo is the base again and loses nothing. The useful sidekick got {useful}.
            """),
        ),
        terms=("Duo", "Temperature", "NLL", "NLL bowl", "Newton step", "Fit split"),
        explore={"page": "temperatures", **_PAIR},
    ),
    Step(
        key="ranking",
        title="What it fixes: the ranking",
        idea=_prose("""
            Why does a weaker model help? Mostly not by overruling the base. Keep every class that the base predicts
            and take only the uncertainty from the duo: [UQ only](#uq-only), for uncertainty quantification. Accuracy
            cannot change. But where the sidekick disagrees, the image becomes more uncertain, and a mistake of the
            base moves toward the unsure end; where it agrees, a right answer moves toward the sure end. So the
            [risk-coverage curve](#risk-coverage-curve) sinks and the [AURC](#aurc) falls. The full duo may also
            change classes.
        """),
        try_it="Switch between UQ only and the full duo. Compare accuracy and AURC with those of the base.",
        question=Question(
            text="With UQ only every predicted class is still the base's. What changes when the sidekick joins?",
            options=(
                "Nothing: the same classes give the same curve",
                "The AURC falls, the accuracy stays",
                "The accuracy rises, the AURC stays",
            ),
            right=1,
            because=_prose("""
                The accuracy stays at {accuracy}, while the AURC × 1000 falls from {aurc_base} to {aurc_uq}. The
                full duo reaches {aurc_duo} (accuracy {accuracy_duo}): {share} of its gain in AURC is ranking
                alone.
            """),
        ),
        terms=("UQ only", "Accuracy", "Risk-coverage curve", "AURC", "Rank move", "Duo"),
        explore={"page": "explore", **_PAIR, "base": "resnet10t"},
    ),
    Step(
        key="budget",
        title="Spend ten to twenty percent",
        idea=_prose("""
            The price of a sidekick is its [FLOPs balance](#flops-balance): its compute as a share of the base's. An
            ensemble of two equals adds 100 %. Each dot is a pair of real models on photographs (CIFAR-10), its
            sidekick less accurate than its base. Further right a pair costs more; further up it removes more of the
            base's AURC ([relative improvement](#relative-improvement)). Set a budget: the best pair within it is
            ringed. Spending more does not always buy more; how accurate the sidekick is, compared with its base,
            matters more.
        """),
        try_it="Move the budget between 5 and 50 %, then click a pair.",
        question=Question(
            text="One sidekick adds 5 % to its base's compute, another 30 % to its own base's. Which pair gains more?",
            options=(
                "The more expensive one: more compute, more gain",
                "The cheaper one: small sidekicks are better",
                "The price alone does not tell",
            ),
            right=2,
            because=_prose("""
                Pairs that cost at most 10 % gain {low_min} to {low_max}, pairs that cost 20 to 40 % gain {high_min}
                to {high_max}: the ranges overlap. Gains follow how close the sidekick's accuracy comes to the base's
                ([rank correlation](#rank-correlation) {close}) more than the price ({price}). Between 10 and 20 %,
                {gaining} of {between} pairs gain.
            """),
        ),
        terms=("FLOPs balance", "Relative improvement", "AURC", "Rank correlation"),
        explore={"page": "find", **_PAIR, "show": "gain", "budget": "20"},
    ),
    Step(
        key="several",
        title="Three small ones or one large?",
        idea=_prose("""
            A large model costs as much compute as three small ones ([multiply-adds](#multiply-add) add up). Which
            would you run? Each small expert here knows less than the large one. But a team of them answers together,
            as a [system](#system) whose members have an equal say, and where one errs the others may not. If they err
            alike, a team is hardly better than one of them, however many join. The chart's horizontal axis is cost: a
            team of three stands at the same place as the large one.
        """),
        try_it="Move the overlap, how alike the small ones err, and watch where their line crosses that of the large one.",
        question=Question(
            text="When do three small experts beat the large one that costs as much?",
            options=(
                "Never: each of them knows less than the large one",
                "Always: three opinions are better than one",
                "Where they err differently enough",
            ),
            right=2,
            because=_prose("""
                With an overlap of 0.1 the three reach {apart}, the large one {large_apart}. With 0.6 they reach only
                {alike}, far below the large one's {large_alike}; one of them alone is right on {one}. Which side wins
                on real models has to be measured.
            """),
        ),
        terms=("Multiply-add", "System", "Errors in common", "Deep ensemble"),
        explore={"page": "find", **_PAIR, "chart": "sizes", "metric": "accuracy"},
    ),
    Step(
        key="different",
        title="Different is not enough",
        idea=_prose("""
            Models that differ help each other: so should one look for the most different pair? Each dot is the large
            expert with another one. Further right, exactly one of the two is right on more images; further up, the
            [duo](#duo) gains more over its better member. But a weak partner differs most of all, and adds little:
            the gap in [accuracy](#accuracy) drives both. Only pairs of the same gap show what being different is
            worth. A [rank correlation](#rank-correlation) of 1 says that the two orders agree.
        """),
        try_it="Narrow the accuracy gap, and read how the correlation of the pairs that are left changes.",
        question=Question(
            text="Over all pairs here: does a more different partner make the duo gain more over its better member?",
            options=(
                "Yes: that is what different means",
                "Hardly, but among partners of one quality it does",
                "No: pairs that err alike always gain more",
            ),
            right=1,
            because=_prose("""
                Over all {pairs} pairs the rank correlation is {all}; over the {few} whose accuracies differ by at
                most 5 percentage points it is {close}. With the gain over the *mean* of both it is {mean} throughout,
                which says little: a weak partner lowers that mean.
            """),
        ),
        terms=("Duo", "Accuracy", "Rank correlation", "Errors in common"),
        explore={"page": "alike", **_PAIR},
    ),
)
"""The course, first to last."""

ON_PAPER = STEPS[:8]
"""What has room on one sheet."""

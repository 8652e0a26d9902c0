"""Everything that is computed and kept, by what it is about; what the widgets hold is in `link`.

Every value is asked of one cache (`caches`) by a key that names all that it depends on.
"""

import torch

from app.state.advice import BUDGETS, advised, contest_of
from app.state.ahead import ON_CARDS, read_ahead
from app.state.alike import Alike, Two, alike, two
from app.state.bowls import LIVE, bowl_of, marks_of, refit_work, refits
from app.state.diagnosis import begin_gains, calibration, classes, entropy_gains, every_split, gains, moves
from app.state.exports import exported
from app.state.holding import claims_of, exchangeable, promised
from app.state.landscape import averaged, difference, singles
from app.state.members import Together, judged_alone, judged_by, member_curves, system_of, together
from app.state.pairs import (
    TimedFit,
    by_hand,
    curves,
    evaluation,
    first_base,
    fitted,
)
from app.state.pictures import credits_of, thumbnails, trouble
from app.state.reports import report_of_pair, report_of_set
from app.state.sets import Handle, Survey, open_set, set_names, stamp_of, store_path, survey, under_way
from app.state.systems import digest_of, predicted, systems
from app.state.tables import all_pairs, sidekicks, suggested
from app.state.uploads import choices, is_upload, opened
from app.state.waiting import known
from duo_core.common.allocating import few_heaps

__all__ = [
    "BUDGETS",
    "LIVE",
    "ON_CARDS",
    "Alike",
    "Handle",
    "Survey",
    "TimedFit",
    "Together",
    "Two",
    "advised",
    "alike",
    "all_pairs",
    "averaged",
    "begin_gains",
    "bowl_of",
    "by_hand",
    "calibration",
    "choices",
    "claims_of",
    "classes",
    "contest_of",
    "credits_of",
    "curves",
    "difference",
    "digest_of",
    "entropy_gains",
    "evaluation",
    "every_split",
    "exchangeable",
    "exported",
    "first_base",
    "fitted",
    "gains",
    "is_upload",
    "judged_alone",
    "judged_by",
    "known",
    "marks_of",
    "member_curves",
    "moves",
    "open_set",
    "opened",
    "predicted",
    "promised",
    "read_ahead",
    "refit_work",
    "refits",
    "report_of_pair",
    "report_of_set",
    "set_names",
    "sidekicks",
    "singles",
    "stamp_of",
    "store_path",
    "suggested",
    "survey",
    "system_of",
    "systems",
    "thumbnails",
    "together",
    "trouble",
    "two",
    "under_way",
]

# A pair's arrays are small: with more threads they wait for each other, and for those of other sessions.
torch.set_num_threads(1)
few_heaps()

"""How unusual a row is as the sum over its features: a model for features that are surprises each on its own.

The raw score is ``log(1 + sum of z²)``, ``z`` being how many deviations a feature lies above its mean
(``state.feature_scaling``); what lies below counts nothing: the larger a feature, the odder it is meant to be. Squares let
one great surprise outweigh many small ones, so features that say nothing cost little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from state.compiled import compiled
from state.feature_scaling import Scales, learn_first, scale_and_learn, scales
from state.model_rows import ModelRows, Scored
from state.score_ranks import RankArrays, ScoreRanks, add, rank

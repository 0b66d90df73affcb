"""Statistics: what turns scores into claims, and says how far a claim goes."""

from evalkit.stats.components import Components, variance_components
from evalkit.stats.correction import adjust, max_t
from evalkit.stats.design import Design
from evalkit.stats.family import Family, compare, compare_all
from evalkit.stats.gating import NonInferiority, gate, non_inferiority
from evalkit.stats.means import Laid, Mean, Means, lay, means
from evalkit.stats.pairing import paired
from evalkit.stats.planning import Choice, Plan, plan
from evalkit.stats.power import Size, detectable, power_at, standard_error, subjects_needed
from evalkit.stats.ranking import Pairwise, Ranked, Ranking, pairwise, ranks
from evalkit.stats.resampling import resample
from evalkit.stats.result import Comparison
from evalkit.stats.seeds import SeedsTTest, seeds_ttest
from evalkit.stats.signflip import sign_flip

__all__ = [
    "Choice",
    "Comparison",
    "Components",
    "Design",
    "Family",
    "Laid",
    "Mean",
    "Means",
    "NonInferiority",
    "Pairwise",
    "Plan",
    "Ranked",
    "Ranking",
    "SeedsTTest",
    "Size",
    "adjust",
    "compare",
    "compare_all",
    "detectable",
    "gate",
    "lay",
    "max_t",
    "means",
    "non_inferiority",
    "paired",
    "pairwise",
    "plan",
    "power_at",
    "ranks",
    "resample",
    "seeds_ttest",
    "sign_flip",
    "standard_error",
    "subjects_needed",
    "variance_components",
]

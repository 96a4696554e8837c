"""Figures, drawn from small stored summaries without sampling, forward models or file access. One family per file.

North is up (row 0 at the bottom).
"""

from .clusters import cut_outs, draw_clusters
from .comparison import draw_comparison
from .exact import draw_exact
from .exercises import draw_exercise
from .family import Member, draw_family
from .panels import draw_panels
from .priors import draw_prior, mosaic
from .profile import draw_profile
from .samplers import draw_samplers
from .slic import draw_slic
from .validation import draw_certificates, draw_coverage, draw_moments

__all__ = [
    "Member",
    "cut_outs",
    "draw_certificates",
    "draw_clusters",
    "draw_comparison",
    "draw_coverage",
    "draw_exact",
    "draw_exercise",
    "draw_family",
    "draw_moments",
    "draw_panels",
    "draw_prior",
    "draw_profile",
    "draw_samplers",
    "draw_slic",
    "mosaic",
]

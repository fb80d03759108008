"""What Bayes' rule makes of frames in which a planted pattern may lie anywhere."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp


def span_evidence(
    along: NDArray[np.float64], *, noise: float, n_span: int, observed: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """How much likelier frames are with a pattern somewhere among them than without: ``(patterns,)``, natural log.

    Args:
        along: The frames along the unit direction of each pattern ``(frames, patterns)``: noise, plus 1 where it is.
        noise: Standard deviation of the noise.
        n_span: Frames that a pattern lasts; it starts anywhere with equal chance.
        observed: Which frames were seen ``(frames,)``, all by default; the others say nothing.
    """
    gain = (along - 0.5) / noise**2  # log N(x; d) - log N(x; 0), per frame
    if observed is not None:
        gain = np.where(observed[:, None], gain, 0.0)
    total = np.vstack([np.zeros(gain.shape[1]), np.cumsum(gain, axis=0)])
    per_start = total[n_span:] - total[:-n_span]
    return logsumexp(per_start, axis=0) - np.log(len(per_start))

"""Arguments for every function of losses: for tests of precision and of devices."""

import torch


def half_cases() -> dict[str, tuple]:
    """Every public function on numbers that bfloat16 holds exactly."""
    draw = torch.Generator().manual_seed(3)

    def some(*shape):
        return torch.randn(shape, generator=draw).bfloat16()

    z, m, v = some(12, 4), some(12, 4), some(12, 4)
    x, y, group = some(3, 1, 4, 4), some(3, 1, 4, 4).sigmoid(), some(6, 2, 4)
    pairs = torch.combinations(torch.arange(4))
    square = (z.float().T @ z.float()).bfloat16()
    return {
        "bernoulli_nll": (x, y), "gaussian_nll": (x, y), "gaussian_kl": (m, v),
        "gaussian_kl_between": (m, v, z, v), "gaussian_log_density": (z, m, v),
        "gaussian_entropy": (v,), "group_prior": (group, 0.3),
        "expected_group_prior": (group, group, 0.3, 0.7), "info_nce": (group, 0.1),
        "exemplar_softmax": (z, some(5, 4), torch.arange(12) % 5, 0.1),
        "cosine_regression": (z, m), "correlation": (z,), "cross_correlation": (z, m),
        "covariance": (z,), "identity_gap": (square,), "variance_hinge": (z,),
        "covariance_penalty": (z,), "whiten": (z,), "direct_predictor": (square, 0.1),
        "total_correlation": (z, m, v, 50), "support_gaps": (z, pairs),
        "factorised_support": (z, pairs), "queue_info_nce": (z, m, some(7, 4), 0.2),
        "sinkhorn": (z,), "swapped_prediction": (group, some(5, 4)),
    }  # fmt: skip


HALF_CASES = half_cases()

"""Slow, obvious NumPy truths in float64: the D x D route clip by clip, and losses as loops.

Nothing here shares a formula with the package: operators are D x D (the primal form of ridge regression, or the
pseudo-inverse), splits mask `numpy.linalg.eig` of A, and losses visit one pair of clips after the other.
"""

import numpy as np


def normalize(frames):
    return frames / np.linalg.norm(frames, axis=-1, keepdims=True)


def transitions(clip):
    """Past and future frames of one clip (T, D), each (T-1, D)."""
    frames = normalize(np.asarray(clip, np.float64))
    return frames[:-1], frames[1:]


def koopman_operator(past, future, ridge):
    """A (D, D): the ridge solution of past A = future; the penalty is `ridge` x |past|^2 / (T-1)."""
    if ridge == 0:
        return np.linalg.pinv(past) @ future
    penalty = ridge * np.sum(past**2) / len(past)
    return np.linalg.solve(past.T @ past + penalty * np.eye(past.shape[1]), past.T @ future)


def distances(operator, rank):
    """|lambda - 1| in ascending order of the `rank` eigenvalues of A with the largest modulus."""
    values = np.linalg.eigvals(operator)
    values = values[np.argsort(-np.abs(values), kind="stable")][:rank]
    return np.sort(np.abs(values - 1))


def threshold_radius(operator, rank, threshold):
    nearest = distances(operator, rank)[0]
    return threshold if nearest <= threshold else 1.25 * nearest


def static_operator(operator, radius, order=None):
    """A_S: the eigenvalues of A within `radius` of 1 (or, with `order`, Butterworth weights of all)."""
    values, vectors = np.linalg.eig(operator)
    if order is None:
        weight = (np.abs(values - 1) <= radius).astype(complex)
    else:
        weight = 1 / (1 + ((values - 1) / radius) ** order)
    return np.real(vectors @ np.diag(values * weight) @ np.linalg.inv(vectors))


def split(clip, radius, ridge=1e-2, order=None, bases=None):
    """s (D,) and d of one clip (T, D) by D x D operators: U' A_D V with bases, else the time mean."""
    past, future = transitions(clip)
    operator = koopman_operator(past, future, ridge)
    static = static_operator(operator, radius, order)
    moving = operator - static
    s = np.mean([x @ static for x in past], axis=0)
    if bases is None:
        return s, np.mean([x @ moving for x in past], axis=0)
    return s, (bases[0].T @ moving @ bases[1]).ravel()


def info_nce(a, b, temperature):
    """One value per video, a triple loop over direction, clip and candidate."""
    a, b = normalize(np.asarray(a, np.float64)), normalize(np.asarray(b, np.float64))
    losses = np.zeros(len(a))
    for own, other in ((a, b), (b, a)):
        for i in range(len(a)):
            candidates = 0.0
            for j in range(len(a)):
                candidates += np.exp(own[i] @ other[j] / temperature)
                if j != i:
                    candidates += np.exp(own[i] @ own[j] / temperature)
            positive = np.exp(own[i] @ other[i] / temperature)
            losses[i] -= 0.5 * np.log(positive / candidates)
    return losses


def koopman_prediction(view_a, view_b, kind, ridge=0.1):
    """One value per video."""
    losses = []
    for clip_a, clip_b in zip(view_a, view_b):
        a, b = transitions(clip_a), transitions(clip_b)
        pairs = ((a, b), (b, a)) if kind == "cross_clip" else ((a, a), (b, b))
        errors = []
        for fitted, (past, future) in pairs:
            errors.append(np.mean((past @ koopman_operator(*fitted, ridge) - future) ** 2))
        losses.append(np.mean(errors))
    return np.array(losses)


def queue_info_nce(keys, queue, queries, temperature, filled=None):
    """One value per query: its own key against the first `filled` rows of the queue."""
    losses = []
    for key, query in zip(keys, queries):
        positive = np.exp(_cosine(query, key) / temperature)
        candidates = positive
        for row in queue[: len(queue) if filled is None else filled]:
            candidates += np.exp(_cosine(query, row) / temperature)
        losses.append(-np.log(positive / candidates))
    return np.array(losses)


def cosine_regression(target, prediction):
    """One value per video: the squared distance of two unit vectors."""
    losses = []
    for z, p in zip(target, prediction):
        z, p = normalize(np.asarray(z, np.float64)), normalize(np.asarray(p, np.float64))
        losses.append(sum((z[k] - p[k]) ** 2 for k in range(len(z))))
    return np.array(losses)


def sinkhorn(scores, epsilon, iterations):
    """Codes (B, K) by scaling columns to B/K and rows to 1 in turn, on the exponentials themselves."""
    codes = np.exp(np.asarray(scores, np.float64) / epsilon)
    batch, prototypes = codes.shape
    for _ in range(iterations):
        for k in range(prototypes):
            codes[:, k] = codes[:, k] / codes[:, k].sum() * batch / prototypes
        for i in range(batch):
            codes[i] = codes[i] / codes[i].sum()
    return codes


def swapped_prediction(target, prediction, temperature, epsilon, iterations, queue=()):
    """One value per video: the cross-entropy of its codes and its predicted probabilities."""
    codes = sinkhorn([*target, *queue], epsilon, iterations)
    losses = []
    for i, row in enumerate(np.asarray(prediction, np.float64)):
        exponentials = [np.exp(score / temperature) for score in row]
        probabilities = [e / sum(exponentials) for e in exponentials]
        losses.append(-sum(q * np.log(p) for q, p in zip(codes[i], probabilities)))
    return np.array(losses)


def vicreg(a, b, invariance=25.0, variance=25.0, covariance=1.0, gamma=1.0, epsilon=1e-4):
    """A scalar, one entry of each covariance matrix after the other."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    batch, width = a.shape
    loss = invariance * sum((a[i, j] - b[i, j]) ** 2 for i in range(batch) for j in range(width))
    loss /= batch * width
    for view in (a, b):
        for j in range(width):
            for k in range(width):
                entry = 0.0
                for i in range(batch):
                    entry += (view[i, j] - view[:, j].mean()) * (view[i, k] - view[:, k].mean())
                entry /= batch - 1
                if j == k:
                    loss += variance * max(0.0, gamma - np.sqrt(entry + epsilon)) / width
                else:
                    loss += covariance * entry**2 / width
    return loss


def lejepa(a, b, vectors, weight=0.05):
    """A scalar, one vector and one of the 17 points after the other."""
    a, b, vectors = (np.asarray(x, np.float64) for x in (a, b, vectors))
    normality = 0.0
    for view in (a, b):
        for vector in vectors.T:
            for k in range(17):
                t = -5 + 10 * k / 16
                mean = sum(np.exp(1j * t * (vector @ row)) for row in view) / len(view)
                width = 10 / 16 / (2 if k in (0, 16) else 1)
                error = abs(mean - np.exp(-t * t / 2)) ** 2 * np.exp(-t * t / 2) * width
                normality += len(view) * error / vectors.shape[1] / 2
    return (1 - weight) * np.mean((a - b) ** 2) / 4 + weight * normality


def barlow_twins(a, b, off_diagonal=5e-3, epsilon=1e-5):
    """A scalar, one correlation after the other."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    batch, width = a.shape
    loss = 0.0
    for j in range(width):
        for k in range(width):
            x, y = a[:, j] - a[:, j].mean(), b[:, k] - b[:, k].mean()
            scale = np.sqrt((np.mean(x**2) + epsilon) * (np.mean(y**2) + epsilon))
            correlation = sum(x[i] * y[i] for i in range(batch)) / batch / scale
            loss += (1 - correlation) ** 2 if j == k else off_diagonal * correlation**2
    return loss


def _cosine(x, y):
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    return sum(x[k] * y[k] for k in range(len(x))) / np.sqrt(np.sum(x**2) * np.sum(y**2))

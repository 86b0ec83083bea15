"""What AVA's evaluation server does with a file of detections, box by box: a slow truth."""

import csv
import heapq

import numpy as np


def read(file, classes, capacity=0):
    """From a frame to its boxes (score, class, top, left, bottom, right), as the server orders them."""
    entries = {}
    with open(file, newline="") as stream:
        for video, second, left, top, right, bottom, number, *score in csv.reader(stream):
            if int(number) not in classes:
                continue
            heap = entries.setdefault((video, second), [])
            numbers = [float(x) for x in (top, left, bottom, right)]
            entry = (float(score[0]) if score else 1.0, int(number), *numbers)
            if not capacity or len(heap) < capacity:
                heapq.heappush(heap, entry)
            elif entry[0] > heap[0][0]:
                heapq.heapreplace(heap, entry)
    return {frame: sorted(heap, key=lambda entry: -entry[0]) for frame, heap in entries.items()}


def precision_of_each_class(truth_file, detections_file, classes, capacity=50):
    """The area under the precision envelope of each class that occurs, numbers from 1."""
    truth, detections = read(truth_file, classes), read(detections_file, classes, capacity)
    results = {}
    for number in classes:
        scores, hits = [], []
        for frame, entries in detections.items():
            mine = [e for e in entries if e[1] == number and e[2] < e[4] and e[3] < e[5]]
            mine = [mine[i] for i in np.argsort([e[0] for e in mine], kind="stable")[::-1]]
            there = [e[2:] for e in truth.get(frame, ()) if e[1] == number]
            taken = set()
            for entry in mine:
                overlaps = [overlap(entry[2:], box) for box in there]
                best = int(np.argmax(overlaps)) if there else None
                hit = best is not None and overlaps[best] >= 0.5 and best not in taken
                taken |= {best} if hit else set()
                scores.append(entry[0])
                hits.append(hit)
        positives = sum(e[1] == number for entries in truth.values() for e in entries)
        if positives:
            results[number] = area(scores, hits, positives)
    return results


def overlap(one, other):
    height = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    width = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    return height * width / (sum(areas) - height * width)


def area(scores, hits, positives):
    hits = np.array(hits, bool)[np.argsort(scores, kind="stable")[::-1]]
    found = np.cumsum(hits)
    precision = [0.0, *(found / np.arange(1, len(hits) + 1)), 0.0]
    recall = [0.0, *(found / positives), 1.0]
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    return sum((b - a) * p for a, b, p in zip(recall, recall[1:], precision[1:]))

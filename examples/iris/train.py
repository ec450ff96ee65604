"""Train a classifier on the iris data set, which ships with scikit-learn, and print how good it is."""

import sys

import sklearn
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

features, species = load_iris(return_X_y=True)
scores = cross_val_score(LogisticRegression(max_iter=1000), features, species, cv=5)

print(f"Python {sys.version.split()[0]}, scikit-learn {sklearn.__version__}, in {sys.prefix}")
print(f"accuracy over 5 folds: {scores.mean():.3f} (worst {scores.min():.3f})")

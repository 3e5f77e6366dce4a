import json

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

with open("model.json") as f:
    weights = json.load(f)
model = LogisticRegression()
model.classes_ = np.array(weights["classes"])
model.coef_ = np.array(weights["coef"])
model.intercept_ = np.array(weights["intercept"])

sample = pd.read_csv("sample.csv")
kinds = model.predict(sample.to_numpy())
print("pyml VERSION: ready,", ", ".join(kinds))

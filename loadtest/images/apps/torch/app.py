import json

import torch

with open("weights.json") as f:
    weights = {name: torch.tensor(rows) for name, rows in json.load(f).items()}
model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
model.load_state_dict(weights)
model.eval()
with torch.inference_mode():
    out = model(torch.tensor([[0.0, 1.0]]))
print(f"torch VERSION: ready, {out.item():.1f}")

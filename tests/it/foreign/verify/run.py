import json, os, sys

sys.path.insert(0, os.environ["KITS"])
from verify import verify

for row in json.load(open(os.environ["VECTORS"], encoding="utf-8")):
    found = verify(row["body"].encode(), row["headers"], row["secrets"], row["now"])
    assert found == row["valid"], row["name"]
    print(row["name"])

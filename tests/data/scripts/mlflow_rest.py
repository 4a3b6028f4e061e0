"""The calls of MLflow's REST interface that a training script makes, as its documentation writes them."""
import json
import os
import urllib.error
import urllib.request

URI = os.environ["MLFLOW_TRACKING_URI"]
TOKEN = os.environ["MLFLOW_TRACKING_TOKEN"]
RUN = os.environ["MLFLOW_RUN_ID"]
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def call(method, path, body=None, token=TOKEN, raw=None):
    data = raw if raw is not None else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URI + path, data, method=method, headers={"Authorization": "Bearer " + token, "Content-Type": "application/json"})
    try:
        with OPENER.open(request, timeout=60) as answer:
            content = answer.read()
            return answer.status, json.loads(content) if answer.headers["Content-Type"] == "application/json" else content
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def post(path, body):
    status, answer = call("POST", "/api/2.0/mlflow/" + path, body)
    assert status == 200, (path, status, answer)
    return answer


def get(path):
    status, answer = call("GET", "/api/2.0/mlflow/" + path)
    assert status == 200, (path, status, answer)
    return answer


assert call("GET", "/health")[0] == 200
status, answer = call("GET", "/api/2.0/mlflow/runs/get?run_id=" + RUN, token="wrong")
assert status == 401 and answer["error_code"] == "UNAUTHENTICATED", answer

experiment = get("experiments/get-by-name?experiment_name=birds%20of%202026")["experiment"]
assert experiment["name"] == "birds of 2026"
assert get("experiments/get?experiment_id=" + experiment["experiment_id"])["experiment"]["lifecycle_stage"] == "active"
post("experiments/create", {"name": "birds"})

run = get("runs/get?run_id=" + RUN)["run"]
assert run["info"]["run_id"] == RUN and run["info"]["status"] == "RUNNING", run
post("runs/log-metric", {"run_id": RUN, "key": "loss", "value": 0.5, "timestamp": 1795400000000, "step": 3})
post("runs/log-metric", {"run_id": RUN, "key": "loss", "value": "NaN", "timestamp": 1795400000001, "step": "4"})
post("runs/log-batch", {"run_id": RUN,
                        "metrics": [{"key": "acc", "value": i / 10, "timestamp": 1795400000000 + i, "step": i} for i in range(5)],
                        "params": [{"key": "lr", "value": "0.1"}], "tags": [{"key": "team", "value": "birds"}]})
post("runs/log-parameter", {"run_id": RUN, "key": "depth", "value": "18"})
status, answer = call("POST", "/api/2.0/mlflow/runs/log-parameter", {"run_id": RUN, "key": "depth", "value": "34"})
assert status == 400 and answer["error_code"] == "INVALID_PARAMETER_VALUE", answer
post("runs/set-tag", {"run_id": RUN, "key": "phase", "value": "one"})
run = get("runs/get?run_id=" + RUN)["run"]
assert {"key": "acc", "value": 0.4, "timestamp": 1795400000004, "step": 4} in run["data"]["metrics"], run
assert {"key": "lr", "value": "0.1"} in run["data"]["params"], run

child = post("runs/create", {"experiment_id": "0", "run_name": "fold", "start_time": 1795400000000,
                             "tags": [{"key": "mlflow.parentRunId", "value": RUN}]})["run"]["info"]["run_id"]
post("runs/log-metric", {"run_id": child, "key": "loss", "value": 2, "timestamp": 1795400000000, "step": 0})
post("runs/update", {"run_id": child, "status": "FINISHED", "end_time": 1795400001000})
assert len(post("runs/search", {"experiment_ids": ["0"]})["runs"]) == 2

place = "/api/2.0/mlflow-artifacts/artifacts"
uri = run["info"]["artifact_uri"]
assert uri.startswith("mlflow-artifacts:/"), uri
folder = place + uri[len("mlflow-artifacts:"):]
data = bytes(range(256)) * 4096
assert call("PUT", folder + "/model/weights.bin", raw=data)[0] == 200
assert call("GET", folder + "/model/weights.bin") == (200, data)
status, listing = call("GET", place + "?path=" + uri[len("mlflow-artifacts:/"):] + "/model")
assert listing == {"files": [{"path": "weights.bin", "is_dir": False, "file_size": len(data)}]}, listing
for way_out in ("/../../../plan.json", "/%2e%2e/%2e%2e/x", "/a/%00b"):
    status, answer = call("PUT", folder + way_out, raw=b"x")
    assert status == 400, (way_out, status, answer)

status, answer = call("GET", "/api/2.0/mlflow/runs/get?run_id=nobody")
assert status == 404 and answer["error_code"] == "RESOURCE_DOES_NOT_EXIST", answer
status, answer = call("POST", "/api/2.0/mlflow/registered-models/create", {"name": "m"})
assert status == 404 and "registered-models/create" in answer["message"], answer
status, answer = call("POST", "/api/2.0/mlflow/runs/log-metric", raw=b"{")
assert status == 400, answer
print("all calls were answered")

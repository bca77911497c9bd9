import hashlib
import pickle

import pytest
import torch
from torch import nn

from bundle.weights import WeightsError, load_weights, save_weights, sha256_of


def network(seed: int = 0, width: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width))


def test_weights_come_back_up_to_half_precision(tmp_path):
    saved, loaded = network(0), network(1)
    assert load_weights(loaded, save_weights(saved, tmp_path / "a.pt")) is loaded
    for key, value in saved.state_dict().items():
        assert torch.allclose(loaded.state_dict()[key].float(), value.float(), rtol=1e-3, atol=1e-4)


def test_file_holds_half_precision_and_the_network_single(tmp_path):
    path = save_weights(network(), tmp_path / "a.pt")
    state = torch.load(path, weights_only=True)
    assert {v.dtype for v in state.values() if v.is_floating_point()} == {torch.float16}
    assert {p.dtype for p in load_weights(network(1), path).parameters()} == {torch.float32}


def test_counters_stay_whole_numbers(tmp_path):
    saved = network()
    saved[1].num_batches_tracked.fill_(70001)  # beyond half precision
    loaded = load_weights(network(1), save_weights(saved, tmp_path / "a.pt"))
    assert loaded[1].num_batches_tracked.item() == 70001
    assert loaded[1].num_batches_tracked.dtype == torch.int64


def test_saving_leaves_the_network_as_it_is(tmp_path):
    saved = network()
    before = saved[0].weight.clone()
    save_weights(saved, tmp_path / "a.pt")
    assert torch.equal(saved[0].weight, before)
    assert saved[0].weight.dtype == torch.float32


def test_missing_folders_are_made_and_nothing_else_is_left(tmp_path):
    path = save_weights(network(), tmp_path / "models" / "new" / "a.pt")
    assert [p.name for p in path.parent.iterdir()] == ["a.pt"]


def test_saving_again_replaces_the_file(tmp_path):
    save_weights(network(0), tmp_path / "a.pt")
    save_weights(network(5), tmp_path / "a.pt")
    assert torch.allclose(load_weights(network(1), tmp_path / "a.pt")[0].weight, network(5)[0].weight, atol=1e-3)


def test_training_checkpoint_is_read_by_its_model(tmp_path):
    torch.save({"model": network(3).state_dict(), "epoch": 4}, tmp_path / "checkpoint.pt")
    assert torch.equal(load_weights(network(1), tmp_path / "checkpoint.pt")[0].weight, network(3)[0].weight)


def test_missing_file_is_told_by_its_name(tmp_path):
    with pytest.raises(WeightsError, match=r"none\.pt is missing"):
        load_weights(network(), tmp_path / "none.pt")


def test_folder_is_no_weights_file(tmp_path):
    with pytest.raises(WeightsError, match="missing"):
        load_weights(network(), tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a weights file\n",
        b"\x80\x02",
        pickle.dumps([1, 2], 2),
        pickle.dumps({"a": 1}, 2),
        b"PK\x03\x04" + b"0" * 60,
    ],
    ids=["empty", "text", "cut off pickle", "a list", "no tensors", "broken archive"],
)
def test_file_that_holds_no_weights_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        load_weights(network(), tmp_path / "a.pt")
    assert "a.pt" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cut_off_file_is_refused(tmp_path):
    path = save_weights(network(), tmp_path / "a.pt")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(WeightsError, match="does not fit"):
        load_weights(network(), path)


@pytest.mark.parametrize("other", [network(width=4), nn.Linear(2, 2)], ids=["other width", "other layers"])
def test_weights_of_another_network_are_refused_in_one_line(tmp_path, other):
    path = save_weights(network(), tmp_path / "a.pt")
    with pytest.raises(WeightsError, match="does not fit the network") as caught:
        load_weights(other, path)
    assert "\n" not in str(caught.value)


class Touch:
    """Pickles to a command that would make a file."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_code_in_a_weights_file_is_never_run(tmp_path):
    torch.save({"weight": Touch(tmp_path / "made")}, tmp_path / "bad.pt")
    (tmp_path / "made").unlink(missing_ok=True)
    with pytest.raises(WeightsError):
        load_weights(network(), tmp_path / "bad.pt")
    assert not (tmp_path / "made").exists()


def test_hash_is_that_of_the_files_content(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"lumbar")
    assert sha256_of(tmp_path / "a.bin") == hashlib.sha256(b"lumbar").hexdigest()

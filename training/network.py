"""transformers' Qwen3-VL, run on whole batches at once.

The model, its parameters and its names are `Qwen3VLForConditionalGeneration`'s.  Its own forward
goes through the pictures one by one and prepares positions token by token, which takes most of
the time for a model as small as this.  `answer_logits` computes the same on a batch of pictures
of one size, several questions on each picture sharing the picture's part of the sequence.
`difference_from_transformers` measures how far the two are apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from training import data, settings
from training.quantise import straight_through

Weights = Mapping[str, torch.Tensor]
_NORM_EPSILON = 1e-6


@dataclass(frozen=True)
class Layout:
    """What is the same for all batches of one picture size; tensors on the training's device.

    N is patches, V vision tokens, L the length of a sequence: head, V, the picture's end, then
    the questions one after the other.
    """

    rows: int
    columns: int
    corner_indices: torch.Tensor
    """(placements, N, 4): the learned positions between which each patch lies."""
    corner_weights: torch.Tensor
    """(placements, N, 4)"""
    vision_turn: tuple[torch.Tensor, torch.Tensor]
    """Cosines and sines, (placements, 1, N, head size)."""
    text_turn: tuple[torch.Tensor, torch.Tensor]
    """Cosines and sines, (rope variants, 1, L, head size)."""
    mask: torch.Tensor
    """(L, L): true where a token may look."""
    picture_at: slice
    questions_at: slice


def new_model(seed: int) -> Qwen3VLForConditionalGeneration:
    """An untrained model, the same for the same seed."""
    torch.manual_seed(seed)
    make: Any = Qwen3VLForConditionalGeneration  # its constructor is not annotated
    model: Qwen3VLForConditionalGeneration = make(Qwen3VLConfig(**_plain_config()))
    return model


def _plain_config() -> dict[str, Any]:
    """The configuration without what is only true of the shipped weights."""
    content = settings.config(data.vocabulary())
    del content["text_config"]["torch_dtype"]
    shipped_only = ("quantization", "quantization_config", "torch_dtype")
    return {key: value for key, value in content.items() if key not in shipped_only}


def is_quantised(name: str, weight: torch.Tensor) -> bool:
    """Whether a parameter is shipped in 4 bits: every matrix but the learned positions."""
    return weight.ndim == 2 and "pos_embed" not in name


def effective_weights(model: torch.nn.Module, *, quantised: bool) -> dict[str, torch.Tensor]:
    """The parameters by name, without their "model." prefix, as the forward is to use them."""
    weights: dict[str, torch.Tensor] = {
        name.removeprefix("model."): weight for name, weight in model.named_parameters()
    }
    if not quantised:
        return weights
    chosen = {name: w for name, w in weights.items() if is_quantised(name, w)}
    rows = torch.cat([w.reshape(-1, settings.GROUP) for w in chosen.values()])
    lengths = [w.numel() // settings.GROUP for w in chosen.values()]
    pieces = torch.split_with_sizes(straight_through(rows), lengths)
    return weights | {
        name: piece.view_as(w) for (name, w), piece in zip(chosen.items(), pieces, strict=True)
    }


def make_layout(rows: int, columns: int, device: torch.device) -> Layout:
    """The layout for pictures of rows x columns patches."""
    vision = settings.config(data.vocabulary())["vision_config"]
    text = settings.config(data.vocabulary())["text_config"]
    side = int(vision["num_position_embeddings"] ** 0.5)
    quarter = vision["hidden_size"] // vision["num_heads"] // 2
    speed = 10000.0 ** -(torch.arange(0, quarter, 2).float() / quarter)
    indices, shares, turns = [], [], []
    for row_of, column_of, grid_rows, grid_columns, share in _placements(rows, columns):
        corners, weights = _corners(grid_rows, grid_columns, side)
        at = row_of * grid_columns + column_of
        indices.append(corners[at])
        shares.append(weights[at] * share)
        turn = torch.cat([row_of[:, None] * speed, column_of[:, None] * speed], 1)
        turns.append(turn.repeat(1, 2)[None])
    turn = torch.stack(turns)
    positions, picture_at, questions_at = _positions(
        rows // settings.MERGE, columns // settings.MERGE
    )
    size = text["head_dim"]
    text_speed = text["rope_theta"] ** -(torch.arange(0, size, 2).float() / size)
    chosen = positions.float()[torch.tensor(data.ROPE_VARIANTS)]  # (variants, 16, L)
    text_turn = (chosen.transpose(1, 2) * text_speed).repeat(1, 1, 2)[:, None]
    return Layout(
        rows=rows,
        columns=columns,
        corner_indices=torch.stack(indices).to(device),
        corner_weights=torch.stack(shares).to(device),
        vision_turn=(turn.cos().to(device), turn.sin().to(device)),
        text_turn=(text_turn.cos().to(device), text_turn.sin().to(device)),
        mask=_mask(questions_at).to(device),
        picture_at=picture_at,
        questions_at=questions_at,
    )


def _placements(
    rows: int, columns: int
) -> list[tuple[torch.Tensor, torch.Tensor, int, int, float]]:
    """For each placement: every patch's row and column, the grid, the learned part's weight."""
    right = torch.from_numpy(data.block_order(rows, columns))
    exchanged = torch.from_numpy(data.block_order(columns, rows))
    row_by_row = torch.arange(rows * columns)
    return [
        (right // columns, right % columns, rows, columns, 1.0),
        (exchanged // rows, exchanged % rows, columns, rows, 1.0)
        if rows != columns
        else (right % columns, right // columns, rows, columns, 1.0),
        (row_by_row // columns, row_by_row % columns, rows, columns, 1.0),
        (right // columns, right % columns, rows, columns, 0.0),
    ]


def _corners(rows: int, columns: int, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Bilinear interpolation of a side x side table at rows x columns points, row by row."""

    def along(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        at = torch.linspace(0, side - 1, count)
        low = at.floor().long()
        return low, (low + 1).clamp_max(side - 1), at - low

    row_low, row_high, row_share = along(rows)
    column_low, column_high, column_share = along(columns)
    indices, shares = [], []
    for row, row_part in ((row_low, 1 - row_share), (row_high, row_share)):
        for column, column_part in ((column_low, 1 - column_share), (column_high, column_share)):
            indices.append((row[:, None] * side + column[None, :]).flatten())
            shares.append((row_part[:, None] * column_part[None, :]).flatten())
    return torch.stack(indices, 1), torch.stack(shares, 1)


def _positions(rows: int, columns: int) -> tuple[torch.Tensor, slice, slice]:
    """Time, height and width of every token, (3, L), and where picture and questions lie."""
    before = len(data.head())
    vision = rows * columns
    grid = torch.stack(
        [
            torch.zeros(vision, dtype=torch.long),
            torch.arange(rows).repeat_interleave(columns),
            torch.arange(columns).repeat(rows),
        ]
    )
    after = before + max(rows, columns)
    asked = (after + 1 + torch.arange(data.SEGMENT)).repeat(data.QUESTIONS_EACH)
    text_before, text_after = torch.arange(before), torch.cat([torch.tensor([after]), asked])
    positions = torch.cat(
        [text_before.expand(3, -1), grid + before, text_after.expand(3, -1)], dim=1
    )
    first_question = before + vision + 1
    return (
        positions,
        slice(before, before + vision),
        slice(first_question, first_question + data.SEGMENT * data.QUESTIONS_EACH),
    )


def _mask(questions_at: slice) -> torch.Tensor:
    """Causal, and no question sees another."""
    group = torch.zeros(questions_at.stop, dtype=torch.long)
    group[questions_at] = 1 + torch.arange(data.QUESTIONS_EACH).repeat_interleave(data.SEGMENT)
    allowed = (group[None, :] == 0) | (group[None, :] == group[:, None])
    return allowed.tril()


def _turned(states: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Rotary positions applied to (..., tokens, head size)."""
    cosine, sine = turn
    first, second = states.chunk(2, -1)
    return states * cosine + torch.cat([-second, first], -1) * sine


def _linear(w: Weights, name: str, states: torch.Tensor) -> torch.Tensor:
    return functional.linear(states, w[f"{name}.weight"], w.get(f"{name}.bias"))


def _layer_norm(w: Weights, name: str, states: torch.Tensor) -> torch.Tensor:
    weight = w[f"{name}.weight"]
    return functional.layer_norm(states, weight.shape, weight, w[f"{name}.bias"], _NORM_EPSILON)


def _rms_norm(w: Weights, name: str, states: torch.Tensor) -> torch.Tensor:
    weight = w[f"{name}.weight"]
    return functional.rms_norm(states, weight.shape, weight, _NORM_EPSILON)


def patches(batch: data.Batch, layout: Layout, device: torch.device) -> torch.Tensor:
    """(B, N, 768): normalised patches in the model's order, one frame of the two equal ones."""
    pixels = torch.from_numpy(batch.pixels).to(device, non_blocking=True).float()
    normal = pixels / 255 / settings.STANDARD_DEVIATION - settings.MEAN / (
        settings.STANDARD_DEVIATION
    )
    gain = torch.from_numpy(batch.gain).to(device)[:, :, None, None]
    offset = torch.from_numpy(batch.offset).to(device)[:, :, None, None]
    side, merge = settings.PATCH, settings.MERGE
    squares = (normal * gain + offset).reshape(
        len(pixels), 3, layout.rows // merge, merge, side, layout.columns // merge, merge, side
    )
    return squares.permute(0, 2, 5, 3, 6, 1, 4, 7).reshape(len(pixels), -1, 3 * side * side)


def see(
    w: Weights, squares: torch.Tensor, layout: Layout, placement: torch.Tensor
) -> list[torch.Tensor]:
    """What the vision tower gives: last features, then each deepstack layer's, (B, V, width).

    `placement` says for each picture where its patches are said to lie, (B,).
    """
    vision = settings.config(data.vocabulary())["vision_config"]
    heads = vision["num_heads"]
    batch = len(squares)
    frames = w["visual.patch_embed.proj.weight"].sum(2).flatten(1)
    states = functional.linear(squares, frames, w["visual.patch_embed.proj.bias"])
    learned = w["visual.pos_embed.weight"][layout.corner_indices]
    states = states + (learned * layout.corner_weights[..., None]).sum(2)[placement]
    cosine, sine = (part[placement] for part in layout.vision_turn)
    deep = []
    for index in range(vision["depth"]):
        block = f"visual.blocks.{index}"
        normal = _layer_norm(w, f"{block}.norm1", states)
        parts = _linear(w, f"{block}.attn.qkv", normal).view(batch, -1, 3, heads, 24)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(
            _turned(query, (cosine, sine)), _turned(key, (cosine, sine)), value
        )
        mixed = mixed.transpose(1, 2).flatten(2)
        states = states + _linear(w, f"{block}.attn.proj", mixed)
        normal = _layer_norm(w, f"{block}.norm2", states)
        inner = functional.gelu(_linear(w, f"{block}.mlp.linear_fc1", normal), approximate="tanh")
        states = states + _linear(w, f"{block}.mlp.linear_fc2", inner)
        if index in vision["deepstack_visual_indexes"]:
            place = vision["deepstack_visual_indexes"].index(index)
            name = f"visual.deepstack_merger_list.{place}"
            together = _layer_norm(w, f"{name}.norm", _four_in_one(states))
            deep.append(_merged(w, name, together))
    together = _four_in_one(_layer_norm(w, "visual.merger.norm", states))
    return [_merged(w, "visual.merger", together), *deep]


def _four_in_one(states: torch.Tensor) -> torch.Tensor:
    return states.reshape(len(states), -1, settings.MERGE**2 * states.shape[-1])


def _merged(w: Weights, name: str, states: torch.Tensor) -> torch.Tensor:
    return _linear(
        w, f"{name}.linear_fc2", functional.gelu(_linear(w, f"{name}.linear_fc1", states))
    )


def read(
    w: Weights,
    features: list[torch.Tensor],
    tokens: torch.Tensor,
    turn: tuple[torch.Tensor, torch.Tensor],
    layout: Layout,
    wanted: torch.Tensor,
) -> torch.Tensor:
    """Logits at the `wanted` ones of all question tokens, (wanted, vocabulary).

    Tokens are (B, Q, S); `wanted` counts through them in order.
    """
    text = settings.config(data.vocabulary())["text_config"]
    batch = len(tokens)
    table = w["language_model.embed_tokens.weight"]
    start = torch.tensor(data.head(), device=tokens.device).expand(batch, -1)
    end = torch.tensor(data.encode("<|vision_end|>"), device=tokens.device).expand(batch, -1)
    states = torch.cat(
        [table[start], features[0], table[end], table[tokens.flatten(1)]],
        dim=1,
    )
    before, after = layout.picture_at.start, states.shape[1] - layout.picture_at.stop
    for index in range(text["num_hidden_layers"]):
        layer = f"language_model.layers.{index}"
        normal = _rms_norm(w, f"{layer}.input_layernorm", states)
        query, key, value = (
            _linear(w, f"{layer}.self_attn.{part}_proj", normal)
            .view(batch, states.shape[1], -1, text["head_dim"])
            .transpose(1, 2)
            for part in "qkv"
        )
        query = _turned(_rms_norm(w, f"{layer}.self_attn.q_norm", query), turn)
        key = _turned(_rms_norm(w, f"{layer}.self_attn.k_norm", key), turn)
        copies = text["num_attention_heads"] // text["num_key_value_heads"]
        mixed = functional.scaled_dot_product_attention(
            query,
            key.repeat_interleave(copies, 1),
            value.repeat_interleave(copies, 1),
            attn_mask=layout.mask,
        )
        mixed = mixed.transpose(1, 2).flatten(2)
        states = states + _linear(w, f"{layer}.self_attn.o_proj", mixed)
        normal = _rms_norm(w, f"{layer}.post_attention_layernorm", states)
        gate = functional.silu(_linear(w, f"{layer}.mlp.gate_proj", normal))
        inner = gate * _linear(w, f"{layer}.mlp.up_proj", normal)
        states = states + _linear(w, f"{layer}.mlp.down_proj", inner)
        if index + 1 < len(features):
            states = states + functional.pad(features[index + 1], (0, 0, before, after))
    states = states[:, layout.questions_at].flatten(0, 1).index_select(0, wanted)
    return functional.linear(_rms_norm(w, "language_model.norm", states), table)


def answer_logits(
    w: Weights, batch: data.Batch, layout: Layout, device: torch.device, wanted: torch.Tensor
) -> torch.Tensor:
    """Logits at the `wanted` tokens of a batch's questions, (wanted, vocabulary)."""
    features = seen(w, batch, layout, device)
    return answers_from(w, features, batch, layout, wanted)


def seen(w: Weights, batch: data.Batch, layout: Layout, device: torch.device) -> list[torch.Tensor]:
    """What the vision tower gives for a batch."""
    placement = torch.from_numpy(batch.placement).to(device)
    return see(w, patches(batch, layout, device), layout, placement)


def answers_from(
    w: Weights,
    features: list[torch.Tensor],
    batch: data.Batch,
    layout: Layout,
    wanted: torch.Tensor,
) -> torch.Tensor:
    """The same from what the vision tower gave."""
    main, *deep = features
    device = main.device
    keep_main = torch.from_numpy(batch.keep_main).to(device)[:, None, None]
    keep_deep = torch.from_numpy(batch.keep_deep).to(device).T[..., None, None]
    rope = torch.from_numpy(batch.rope).to(device)
    cosine, sine = layout.text_turn
    return read(
        w,
        [main * keep_main, *(layer * keep for layer, keep in zip(deep, keep_deep, strict=True))],
        torch.from_numpy(batch.tokens).to(device),
        (cosine[rope], sine[rope]),
        layout,
        wanted,
    )


class Coach(torch.nn.Module):
    """Asks the vision tower directly what is in the picture, in training only.

    For each stream of features and each fact, a learned query looks over the vision tokens, and
    a linear layer names the fact.  Reading digits is learned far sooner so than through the text
    model alone.  None of it is shipped.
    """

    def __init__(self, streams: int, width: int) -> None:
        super().__init__()
        facts = len(data.FACT_COUNTS)
        self.norms = torch.nn.ModuleList(torch.nn.LayerNorm(width) for _ in range(streams))
        self.queries = torch.nn.Parameter(torch.randn(streams, facts, width) * width**-0.5)
        self.names = torch.nn.Parameter(
            torch.randn(streams, facts, width, max(data.FACT_COUNTS)) * width**-0.5
        )

    def forward(
        self, features: list[torch.Tensor], batch: data.Batch
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean cross entropy in nats, and each fact's share of right answers, last stream."""
        facts = torch.from_numpy(batch.facts).to(features[0].device)
        whole = torch.from_numpy(~batch.broken).to(features[0].device).float()
        losses = []
        hits = whole
        for stream, states in enumerate(features):
            normal = self.norms[stream](states)
            looks = torch.softmax(normal @ self.queries[stream].T, dim=1)
            found = torch.einsum("bvf,bvd->bfd", looks, normal)
            named = torch.einsum("bfd,fdn->bnf", found, self.names[stream])
            losses.append(
                (functional.cross_entropy(named, facts, reduction="none") * whole[:, None]).sum()
            )
            if stream == 0:
                hits = ((named.argmax(1) == facts).float() * whole[:, None]).sum(0) / whole.sum()
        total = torch.stack(losses).sum() / (whole.sum() * facts.shape[1] * len(losses))
        return total, hits


def answer_places(batch: data.Batch, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Where an answer's tokens are predicted, counted through (B, Q, S), and those tokens."""
    (next_at,) = np.nonzero(batch.answers.reshape(-1))
    tokens = batch.tokens.reshape(-1)[next_at]
    return torch.from_numpy(next_at - 1).to(device), torch.from_numpy(tokens).to(device)


@torch.no_grad()
def difference_from_transformers(
    model: Qwen3VLForConditionalGeneration, batch: data.Batch, layout: Layout
) -> float:
    """The largest difference of a logit from transformers' own forward, first picture."""
    device = next(model.parameters()).device
    wanted = torch.arange(data.SEGMENT, device=device)
    weights = effective_weights(model, quantised=False)
    mine = answer_logits(weights, batch, layout, device, wanted)
    vision = layout.picture_at.stop - layout.picture_at.start
    image = data.vocabulary()["<|image_pad|>"]
    ids = [*data.head(), *[image] * vision, *data.encode("<|vision_end|>"), *batch.tokens[0, 0]]
    squares = patches(batch, layout, device)[0].reshape(-1, 3, 1, settings.PATCH**2)
    types = [int(token == image) for token in ids]
    theirs = model(
        input_ids=torch.tensor([ids], device=device),
        mm_token_type_ids=torch.tensor([types], device=device),
        pixel_values=squares.expand(-1, -1, 2, -1).reshape(len(squares), -1),
        image_grid_thw=torch.tensor([[1, layout.rows, layout.columns]], device=device),
    ).logits[0, -data.SEGMENT :]
    return float(np.abs((mine - theirs).cpu().numpy()).max())

"""Models that are a config.json and a small tokenizer: vLLM gives them random weights, so they need no hub."""

import json
from pathlib import Path
from typing import Any

VOCABULARY = 4096
"""Ids of the tokenizer: every byte, then one name for each number; nothing is merged."""

_PLAIN = {
    "vocab_size": VOCABULARY,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "tie_word_embeddings": True,
}


def _config(architecture: str, model_type: str, **more: Any) -> dict[str, Any]:
    return _PLAIN | {"architectures": [architecture], "model_type": model_type} | more


def _sizes(hidden: int, layers: int, inner: int, heads: tuple[int, int, int]) -> dict[str, Any]:
    num_heads, kv_heads, head_dim = heads
    return {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "intermediate_size": inner,
        "num_attention_heads": num_heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
    }


MILLION: dict[str, Any] = _config(
    "LlamaForCausalLM",
    "llama",
    dtype="bfloat16",
    max_position_embeddings=131_072,
    rope_theta=1_000_000.0,
    **_sizes(1024, 2, 2048, (8, 1, 128)),
)
"""1,024 bytes of KV cache a token in bfloat16: a million of them is 1 GiB, and 4.1e15 FLOPs to read."""

KINDS: dict[str, dict[str, Any]] = {
    "GQA": _config(
        "Qwen2ForCausalLM", "qwen2", max_position_embeddings=32_768, rope_theta=1_000_000.0,
        **_sizes(256, 4, 512, (8, 2, 32)),
    ),
    "sliding and full": _config(
        "Gemma3ForCausalLM", "gemma3_text", max_position_embeddings=32_768, hidden_activation="gelu_pytorch_tanh",
        query_pre_attn_scalar=64, sliding_window=512, rope_theta=1_000_000.0, rope_local_base_freq=10_000.0,
        layer_types=["sliding_attention"] * 5 + ["full_attention"],
        **_sizes(256, 6, 512, (4, 1, 64)),
    ),
    "sliding and full, experts": _config(
        "GptOssForCausalLM", "gpt_oss", max_position_embeddings=32_768, sliding_window=128, rope_theta=150_000.0,
        layer_types=["sliding_attention", "full_attention"] * 2, attention_bias=True,
        num_local_experts=4, num_experts_per_tok=2, tie_word_embeddings=False,
        **_sizes(256, 4, 256, (8, 2, 64)),
    ),
    "latents": _config(
        "DeepseekV2ForCausalLM", "deepseek_v2", max_position_embeddings=32_768, rope_theta=10_000.0,
        dtype="bfloat16", kv_lora_rank=512, q_lora_rank=None, qk_nope_head_dim=64, qk_rope_head_dim=64,
        v_head_dim=64, n_routed_experts=4, num_experts_per_tok=2, n_shared_experts=1, moe_intermediate_size=128,
        first_k_dense_replace=1, moe_layer_freq=1, n_group=1, topk_group=1, topk_method="greedy",
        scoring_func="softmax", norm_topk_prob=False, routed_scaling_factor=1.0, tie_word_embeddings=False,
        hidden_size=256, num_hidden_layers=3, intermediate_size=512, num_attention_heads=4, num_key_value_heads=4,
    ),
    "states": _config(
        "JambaForCausalLM", "jamba", max_position_embeddings=32_768, attn_layer_period=4, attn_layer_offset=2,
        expert_layer_period=2, expert_layer_offset=1, num_experts=2, num_experts_per_tok=1, mamba_d_state=16,
        mamba_d_conv=4, mamba_expand=2, mamba_dt_rank=16, mamba_conv_bias=True, mamba_proj_bias=False,
        pad_token_id=0, tie_word_embeddings=False,
        **{name: size for name, size in _sizes(256, 4, 512, (8, 2, 32)).items() if name != "head_dim"},
    ),
    "sparse": _config(
        "DeepseekV32ForCausalLM", "deepseek_v32", max_position_embeddings=32_768, rope_theta=10_000.0,
        dtype="bfloat16", kv_lora_rank=512, q_lora_rank=256, qk_nope_head_dim=128, qk_rope_head_dim=64,
        v_head_dim=128, n_routed_experts=4, num_experts_per_tok=2, n_shared_experts=1, moe_intermediate_size=128,
        first_k_dense_replace=1, moe_layer_freq=1, n_group=1, topk_group=1, topk_method="noaux_tc",
        scoring_func="sigmoid", norm_topk_prob=True, routed_scaling_factor=1.0, tie_word_embeddings=False,
        index_head_dim=128, index_n_heads=4, index_topk=2048,
        hidden_size=256, num_hidden_layers=3, intermediate_size=512, num_attention_heads=4, num_key_value_heads=4,
    ),
}  # fmt: skip
"""One small model of each kind of layer that keeps something for every token, or in their place."""


def write_model(folder: Path, config: dict[str, Any]) -> Path:
    """The directory of a model without weights, in which the server finds all it needs to start."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1), "utf-8")
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>"}  # no end: nonsense goes on
    (folder / "tokenizer_config.json").write_text(json.dumps(told), "utf-8")
    _tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def _tokenizer() -> Any:
    """Bytes, and nonsense for every other id: random weights write any of them."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["<s>", "</s>", *letters]
    words += [f"w{number}" for number in range(VOCABULARY - len(words))]
    made = Tokenizer(models.BPE(vocab={word: index for index, word in enumerate(words)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken("<s>", special=True), AddedToken("</s>", special=True)])
    return made

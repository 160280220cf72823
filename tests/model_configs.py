"""Facts of published models under the names of their config.json: one of each family, whole sizes."""

from typing import Any


def _decoder(
    model_type: str, hidden: int, layers: int, inner: int, vocabulary: int, **more: Any
) -> dict[str, Any]:
    return {
        "model_type": model_type,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "intermediate_size": inner,
        "vocab_size": vocabulary,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": False,
    } | more


def _heads(heads: int, kv_heads: int, head_dim: int) -> dict[str, int]:
    return {"num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": head_dim}


def _latents(
    heads: int, query_rank: int | None, plain_dim: int = 128, value_dim: int = 128
) -> dict[str, Any]:
    return {
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "q_lora_rank": query_rank,
        "kv_lora_rank": 512,
        "qk_nope_head_dim": plain_dim,
        "qk_rope_head_dim": 64,
        "v_head_dim": value_dim,
    }


def _experts(
    key: str, num_experts: int, num_met: int, inner: int | None = None, **more: Any
) -> dict[str, Any]:
    width = {"moe_intermediate_size": inner} if inner else {}
    return {key: num_experts, "num_experts_per_tok": num_met} | width | more


_MAMBA2 = {"mamba_head_dim": 64, "n_groups": 8, "ssm_state_size": 128, "conv_kernel": 4}
_DELTA = {
    "full_attention_interval": 4,
    "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 128,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_value_head_dim": 128,
}
_DEEPSEEK_V3 = (
    _decoder(
        "deepseek_v3",
        7168,
        61,
        18432,
        129280,
        first_k_dense_replace=3,
        moe_layer_freq=1,
        n_group=8,
        topk_group=4,
    )
    | _latents(128, 1536)
    | _experts("n_routed_experts", 256, 8, 2048, n_shared_experts=1)
)
_KDA = {
    "full_attn_layers": [4, 8, 12, 16, 20, 24, 27],
    "kda_layers": [1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19, 21, 22, 23, 25, 26],
    "num_heads": 32,
    "head_dim": 128,
    "short_conv_kernel_size": 4,
}
_LLAMA4 = _decoder(
    "llama4_text", 5120, 48, 8192, 202048, intermediate_size_mlp=16384, attention_chunk_size=8192
) | _heads(40, 8, 128)

CONFIGS: dict[str, dict[str, Any]] = {
    "SmolLM2-135M": _decoder("llama", 576, 30, 1536, 49152, tie_word_embeddings=True) | _heads(9, 3, 64),
    "Llama-3.1-8B": _decoder("llama", 4096, 32, 14336, 128256) | _heads(32, 8, 128),
    "Llama-3.1-405B": _decoder("llama", 16384, 126, 53248, 128256) | _heads(128, 8, 128),
    "Mistral-7B-v0.1": _decoder("mistral", 4096, 32, 14336, 32000, sliding_window=4096) | _heads(32, 8, 128),
    "Mixtral-8x7B": _decoder("mixtral", 4096, 32, 14336, 32000) | _heads(32, 8, 128)
    | _experts("num_local_experts", 8, 2),
    "Qwen2.5-7B": _decoder("qwen2", 3584, 28, 18944, 152064) | _heads(28, 4, 128),
    "Qwen3-8B": _decoder("qwen3", 4096, 36, 12288, 151936) | _heads(32, 8, 128),
    "Qwen3-30B-A3B": _decoder("qwen3_moe", 2048, 48, 6144, 151936, decoder_sparse_step=1, mlp_only_layers=[])
    | _heads(32, 4, 128) | _experts("num_experts", 128, 8, 768),
    "Qwen3-Next-80B-A3B": _decoder("qwen3_next", 2048, 48, 5120, 151936) | _heads(16, 2, 256) | _DELTA
    | _experts("num_experts", 512, 10, 512, shared_expert_intermediate_size=512),
    "Qwen3.5-35B-A3B": _decoder("qwen3_5_moe_text", 2048, 40, 0, 248320) | _heads(16, 2, 256) | _DELTA
    | _experts("num_experts", 256, 8, 512, shared_expert_intermediate_size=512),
    "Gemma-2-9B": _decoder("gemma2", 3584, 42, 14336, 256000, tie_word_embeddings=True, sliding_window=4096)
    | _heads(16, 8, 256),
    "Gemma-3-270M": _decoder("gemma3_text", 640, 18, 2048, 262144, tie_word_embeddings=True, sliding_window=512)
    | _heads(4, 1, 256),
    "Gemma-3-27B": _decoder("gemma3_text", 5376, 62, 21504, 262208, tie_word_embeddings=True, sliding_window=1024)
    | _heads(32, 16, 128),
    "Phi-4-mini": _decoder("phi3", 3072, 32, 8192, 200064, tie_word_embeddings=True) | _heads(24, 8, 128),
    "gpt-oss-20b": _decoder("gpt_oss", 2880, 24, 2880, 201088, attention_bias=True, sliding_window=128,
                            layer_types=["sliding_attention", "full_attention"] * 12)
    | _heads(64, 8, 64) | _experts("num_local_experts", 32, 4),
    "gpt-oss-120b": _decoder("gpt_oss", 2880, 36, 2880, 201088, attention_bias=True, sliding_window=128,
                             layer_types=["sliding_attention", "full_attention"] * 18)
    | _heads(64, 8, 64) | _experts("num_local_experts", 128, 4),
    "Llama-4-Scout": _LLAMA4 | _experts("num_local_experts", 16, 1, interleave_moe_layer_step=1),
    "Llama-4-Maverick": _LLAMA4 | _experts("num_local_experts", 128, 1, interleave_moe_layer_step=2),
    "DeepSeek-V2": _decoder("deepseek_v2", 5120, 60, 12288, 102400, first_k_dense_replace=1, n_group=8, topk_group=3)
    | _latents(128, 1536) | _experts("n_routed_experts", 160, 6, 1536, n_shared_experts=2),
    "DeepSeek-V2-Lite": _decoder("deepseek_v2", 2048, 27, 10944, 102400, first_k_dense_replace=1)
    | _latents(16, None) | _experts("n_routed_experts", 64, 6, 1408, n_shared_experts=2),
    "DeepSeek-V3": _DEEPSEEK_V3,
    "DeepSeek-V3.2": _DEEPSEEK_V3
    | {"model_type": "deepseek_v32", "index_head_dim": 128, "index_n_heads": 64, "index_topk": 2048},
    "Kimi-K2": _decoder("deepseek_v3", 7168, 61, 18432, 163840, first_k_dense_replace=1, n_group=1, topk_group=1)
    | _latents(64, 1536) | _experts("n_routed_experts", 384, 8, 2048, n_shared_experts=1),
    "Kimi-Linear-48B-A3B": _decoder("kimi_linear", 2304, 27, 9216, 163840, first_k_dense_replace=1,
                                    moe_layer_freq=1, num_experts=256, num_experts_per_token=8,
                                    num_shared_experts=1, moe_intermediate_size=1024, linear_attn_config=_KDA)
    | _latents(32, None),
    "GLM-4-9B-0414": _decoder("glm4", 4096, 40, 13696, 151552, attention_bias=False) | _heads(32, 2, 128),
    "GLM-4.7": _decoder("glm4_moe", 5120, 92, 12288, 151552, attention_bias=True, use_qk_norm=True,
                        first_k_dense_replace=3)
    | _heads(96, 8, 128) | _experts("n_routed_experts", 160, 8, 1536, n_shared_experts=1),
    "GLM-5": _decoder("glm_moe_dsa", 6144, 78, 12288, 154880, first_k_dense_replace=3, head_dim=64,
                      index_head_dim=128, index_n_heads=32, index_topk=2048)
    | _latents(64, 2048, plain_dim=192, value_dim=256)
    | _experts("n_routed_experts", 256, 8, 2048, n_shared_experts=1),
    "GLM-5.2": _decoder("glm_moe_dsa", 6144, 78, 12288, 154880, first_k_dense_replace=3, head_dim=192,
                        index_head_dim=128, index_n_heads=32, index_topk=2048, index_topk_freq=4,
                        index_skip_topk_offset=3, index_topk_pattern=None)
    | _latents(64, 2048, plain_dim=192, value_dim=256)
    | _experts("n_routed_experts", 256, 8, 2048, n_shared_experts=1),
    "MiniMax-M2": _decoder("minimax_m2", 3072, 62, 1536, 200064, use_qk_norm=True, shared_intermediate_size=0)
    | _heads(48, 8, 128) | _experts("num_local_experts", 256, 8),
    "Nemotron-3-Nano-30B-A3B": _decoder(
        "nemotron_h", 2688, 52, 1856, 131072, mamba_num_heads=64, use_bias=False, mlp_bias=False,
        hybrid_override_pattern="MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME",
        moe_shared_expert_intermediate_size=3712, n_shared_experts=1)
    | _heads(32, 2, 128) | _MAMBA2 | _experts("n_routed_experts", 128, 6, 1856),
    "Nemotron-3-Super-120B-A12B": _decoder(
        "nemotron_h", 4096, 88, 2688, 131072, mamba_num_heads=128, use_bias=False, mlp_bias=False,
        hybrid_override_pattern="MEMEMEM*EMEMEMEM*EMEMEMEM*EMEMEMEMEM*EMEMEMEMEM*EMEMEMEMEM*EMEMEMEMEM*EMEMEMEM*EMEMEMEME",
        moe_shared_expert_intermediate_size=5376, n_shared_experts=1, moe_latent_size=1024)
    | _heads(32, 2, 128) | _MAMBA2 | _experts("n_routed_experts", 512, 22, 2688),
    "Nemotron-Nano-9B-v2": _decoder(
        "nemotron_h", 4480, 56, 15680, 131072, mamba_num_heads=128, mamba_head_dim=80, use_bias=False,
        hybrid_override_pattern="M-M-M-MM-M-M-M*-M-M-M*-M-M-M-M*-M-M-M-M*-M-MM-M-M-M-M-M-")
    | _heads(40, 8, 128) | _MAMBA2 | {"mamba_head_dim": 80},
    "Jamba-v0.1": _decoder("jamba", 4096, 32, 14336, 65536, attn_layer_period=8, attn_layer_offset=4,
                           expert_layer_period=2, expert_layer_offset=1, mamba_d_state=16, mamba_d_conv=4,
                           mamba_expand=2, mamba_dt_rank=256, mamba_conv_bias=True, mamba_proj_bias=False,
                           num_attention_heads=32, num_key_value_heads=8)
    | _experts("num_experts", 16, 2),
    "Granite-4.0-H-Small": _decoder(
        "granitemoehybrid", 4096, 40, 768, 100352, tie_word_embeddings=True, shared_intermediate_size=1536,
        num_attention_heads=32, num_key_value_heads=8, mamba_n_heads=128, mamba_d_head=64, mamba_n_groups=1,
        mamba_d_state=128, mamba_d_conv=4, mamba_expand=2, mamba_conv_bias=True, mamba_proj_bias=False,
        layer_types=(["mamba"] * 5 + ["attention"] + ["mamba"] * 4) * 4)
    | _experts("num_local_experts", 72, 10),
}  # fmt: skip

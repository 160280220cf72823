"""What the config.json of published models says of their rope."""

SMOLLM2 = {
    "model_type": "llama", "max_position_embeddings": 8192, "rope_theta": 100_000, "rope_scaling": None,
    "hidden_size": 576, "num_attention_heads": 9,
}  # fmt: skip
QWEN3_8B = {
    "model_type": "qwen3", "max_position_embeddings": 40_960, "rope_theta": 1_000_000, "rope_scaling": None,
    "head_dim": 128,
}  # fmt: skip
LLAMA_31 = {
    "model_type": "llama", "max_position_embeddings": 131_072, "rope_theta": 500_000.0,
    "rope_scaling": {
        "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192, "rope_type": "llama3",
    },
}  # fmt: skip
PHI4_MINI = {
    "model_type": "phi3", "max_position_embeddings": 131_072, "original_max_position_embeddings": 4096,
    "rope_theta": 10_000.0, "partial_rotary_factor": 0.75,
    "rope_scaling": {"type": "longrope", "short_factor": [1.0] * 48, "long_factor": [1.5] * 48},
}  # fmt: skip
GEMMA3_4B = {
    "model_type": "gemma3_text", "max_position_embeddings": 131_072, "rope_theta": 1_000_000.0,
    "rope_local_base_freq": 10_000.0, "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
}  # fmt: skip
GEMMA3_NEW = {
    "model_type": "gemma3_text", "max_position_embeddings": 32_768,
    "rope_parameters": {
        "full_attention": {"rope_type": "default", "rope_theta": 1_000_000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
    },
}  # fmt: skip
KIMI_LINEAR = {
    "model_type": "kimi_linear", "model_max_length": 1_048_576, "rope_theta": 10_000.0, "mla_use_nope": True,
    "kv_lora_rank": 512, "rope_scaling": None,
}  # fmt: skip
DEEPSEEK_V3 = {
    "model_type": "deepseek_v3", "max_position_embeddings": 163_840, "rope_theta": 10_000, "kv_lora_rank": 512,
    "rope_scaling": {
        "type": "yarn", "factor": 40, "original_max_position_embeddings": 4096, "beta_fast": 32, "beta_slow": 1,
        "mscale": 1.0, "mscale_all_dim": 1.0,
    },
}  # fmt: skip
QWEN25_1M = {
    "model_type": "qwen2", "max_position_embeddings": 1_010_000, "rope_theta": 10_000_000.0,
    "dual_chunk_attention_config": {"chunk_size": 262_144, "original_max_position_embeddings": 262_144},
}  # fmt: skip
QWEN25_YARN = {
    "model_type": "qwen2", "max_position_embeddings": 32_768, "rope_theta": 1_000_000.0,
    "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768},
}  # fmt: skip
QWEN25_VL = {
    "model_type": "qwen2_5_vl", "text_config": {"model_type": "qwen2_5_vl_text"},
    "max_position_embeddings": 32_768, "rope_theta": 1_000_000.0,
    "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
}  # fmt: skip
QWEN3_NEXT = {
    "model_type": "qwen3_next", "max_position_embeddings": 262_144, "rope_theta": 10_000_000,
    "partial_rotary_factor": 0.25, "head_dim": 256, "linear_num_key_heads": 16,
}  # fmt: skip
VICUNA_16K = {
    "model_type": "llama", "max_position_embeddings": 4096,
    "rope_scaling": {"type": "linear", "factor": 4.0},
}  # fmt: skip
INTERNLM2 = {
    "model_type": "internlm2", "max_position_embeddings": 32_768, "rope_theta": 1_000_000,
    "rope_scaling": {"type": "dynamic", "factor": 2.0},
}  # fmt: skip
JAMBA = {"model_type": "jamba", "max_position_embeddings": 262_144}
GRANITE_4 = {
    "model_type": "granitemoehybrid", "max_position_embeddings": 131_072, "rope_theta": 10_000,
    "position_embedding_type": "nope",
}  # fmt: skip

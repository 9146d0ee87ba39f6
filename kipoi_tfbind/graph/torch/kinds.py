"""ATen's operations by kind."""

from __future__ import annotations

# Kind by the operation's name without its overload.
OPERATIONS_OF = {
    "identity": "clone contiguous alias detach lift_fresh lift_fresh_copy positive dropout native_dropout",
    "reshape": "view _unsafe_view reshape squeeze unsqueeze flatten view_copy squeeze_copy unsqueeze_copy "
    "_reshape_alias unflatten",
    "cast": "_to_copy to type_as",
    "transpose": "transpose permute t numpy_T movedim permute_copy transpose_copy t_copy",
    "add": "add sub rsub neg",
    "concat": "cat concat",
    "pad": "constant_pad_nd reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d",
    "slice": "slice select narrow slice_copy select_copy diagonal as_strided",
    "split": "split split_with_sizes unsafe_split unsafe_split_with_sizes chunk",
    "stack": "stack",
    "unstack": "unbind",
    "gather": "index index_select gather embedding unfold im2col take_along_dim _unsafe_index",
    "scatter": "slice_scatter select_scatter index_put scatter index_add scatter_add diagonal_scatter "
    "fill copy index_copy index_fill",
    "reverse": "flip roll",
    "reduce_sum": "sum mean",
    "average_pool": "avg_pool1d avg_pool2d avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d "
    "adaptive_avg_pool1d",
    "cumulative_sum": "cumsum",
    "broadcast": "expand repeat repeat_interleave expand_copy expand_as broadcast_to tile",
    "resize": "upsample_nearest1d upsample_nearest2d upsample_linear1d upsample_bilinear2d "
    "pixel_shuffle pixel_unshuffle col2im _upsample_nearest_exact1d",
    "linear": "diag_embed tril triu trace diag _fft_r2c _fft_c2c _fft_c2r conj conj_physical _conj "
    "resolve_conj resolve_neg view_as_real view_as_complex complex",
    "normalise": "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training "
    "cudnn_batch_norm _batch_norm_no_update",
    "matmul": "mm bmm matmul addmm baddbmm addmv mv dot linear addbmm vdot bilinear _trilinear",
    "einsum": "einsum",
    "convolution": "convolution _convolution conv1d conv2d conv3d conv_transpose1d",
    "product": "mul addcmul lerp",
    "ratio": "div true_divide",
    "elementwise_pair": "maximum minimum fmax fmin atan2 xlogy pow logaddexp hypot fmod remainder "
    "_prelu_kernel",
    "max_pool": "max_pool2d_with_indices max_pool3d_with_indices adaptive_max_pool2d adaptive_max_pool3d",
    "reduce_max": "amax amin max min",
    "log_sum_exp": "logsumexp",
    "softmax": "_softmax softmax _safe_softmax",
    "log_softmax": "_log_softmax log_softmax",
    "variance": "var var_mean",
    "deviation": "std",
    "vector_norm": "linalg_vector_norm",
    "layer_norm": "native_layer_norm",
    "group_norm": "native_group_norm",
    "glu": "glu",
    "select": "where masked_fill",
    "steps": "eq ne lt le gt ge logical_and logical_or logical_not logical_xor bitwise_and bitwise_or "
    "bitwise_not argmax argmin any all one_hot",
    # What depends on the shapes only, as long as all values are finite.
    "shape": "isnan isinf isfinite zeros ones full arange empty zeros_like ones_like full_like "
    "empty_like new_zeros new_ones new_full new_empty scalar_tensor eye linspace empty_strided "
    "new_empty_strided",
}

# The elementwise functions of one tensor, by the name that the rules know them by.
FUNCTIONS = """
    abs acos acosh asin asinh atan atanh ceil celu clamp clamp_max clamp_min cos cosh elu erf erfc exp exp2
    expm1 floor gelu hardshrink hardsigmoid hardswish hardtanh leaky_relu lgamma log log10 log1p log2
    log_sigmoid_forward mish reciprocal relu relu6 round rsqrt selu sigmoid sign silu sin sinc sinh softplus
    softshrink softsign sqrt square tan tanh threshold trunc
""".split()  # noqa: SIM905

KIND_OF = {operation: kind for kind, names in OPERATIONS_OF.items() for operation in names.split()}

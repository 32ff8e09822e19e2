"""What is in a motion embedding, in a table."""

from ditflow.embedding.motion_embedding import MotionEmbedding
from ditflow.errors import shortened


def describe_embedding(embedding: MotionEmbedding) -> str:
    """The table of one embedding."""
    header = embedding.header
    first, last = header.timesteps[0], header.timesteps[header.guided_steps - 1]
    target: str = header.target
    if target == "positions":
        target += f" ({header.parameterization})"
    size = f"{header.height}x{header.width}"
    rows = {
        "format": f"{header.format_version} (ditflow {header.ditflow_version})",
        "backbone": f"{header.backbone} ({header.family}, {header.fingerprint})",
        "video": f"{header.num_frames} frames of {size}, {header.fps:g} frames a second",
        "latents": " x ".join(str(size) for size in header.latent_shape),
        "target": target,
        "objective": f"{header.objective} at block {header.block}",
        "sampler": f"{header.scheduler}, {len(header.timesteps)} steps",
        "guided steps": f"{header.guided_steps} (timesteps {first} to {last})",
        "seed": str(header.seed),
        "reference": f"{header.reference} (sha256 {header.reference_sha256[:16]}...)"
        if header.reference
        else "left out when it was published",
    }
    if header.frames_taken:
        rows["frames taken"] = " ".join(map(str, header.frames_taken))
    if header.crop != "center":
        rows["crop"] = header.crop
    if header.masked:
        named = f"{header.mask} (sha256 {header.mask_sha256[:16]}...)"
        rows["mask"] = named if header.mask else "left out when it was published"
    if header.confidence:
        rows["confidence"] = "displacements counted by how sure the attention was"
    for index, prompt in enumerate(header.prompts):
        rows[f"prompt {index}"] = prompt
    for name, tensor in sorted(embedding.tensors.items()):
        shape = " x ".join(str(size) for size in tensor.shape)
        kilobytes = tensor.numel() * tensor.element_size() / 1000
        rows[name] = f"{shape}, {str(tensor.dtype).removeprefix('torch.')}, {kilobytes:.1f} kB"
    if "reference_latents" not in embedding.tensors:
        rows["reference_latents"] = "left out: predict runs with no KV injection"
    width = max(len(name) for name in rows)
    return "\n".join(f"{name:<{width}}  {shortened(v, 2000)}" for name, v in rows.items())

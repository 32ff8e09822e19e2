"""The plan of a fit that is about to run, from its own parts."""

from ditflow.callbacks import KVInjection
from ditflow.errors import DitflowError
from ditflow.module import MotionTransfer
from ditflow.plan.cost import Cost, cost
from ditflow.plan.fitting import Planner, advise
from ditflow.plan.machine import this_machine
from ditflow.plan.phases import Work
from ditflow.plan.report import describe, verdict
from ditflow.plan.shapes import Configs
from ditflow.sampling import steps_of


def describe_run(
    module: MotionTransfer, size: tuple[int, int, int], prompts: int, injection: KVInjection
) -> str:
    """What a fit will need and cost, and whether this machine has it.

    Args:
        module: not fitted yet.
        size: frames, height and width in pixels.
        prompts: fitted together.
        injection: of the fit.
    """
    backbone, options = module.backbone, module.backbone.options
    pipeline = backbone.pipeline
    configs = Configs(
        dict(pipeline.transformer.config),
        dict(pipeline.vae.config),
        pipeline.text_encoder.config.to_dict(),
    )
    work = Work(
        backbone.dtype,
        *size,
        block=module.block,
        objective=module.objective,
        target=module.target,
        parameterization=module.parameterization,
        separate_query_key=module.separate_query_key,
        prompts=prompts,
        guidance=module.sampler_options.guidance_scale > 1,
    )
    planner = Planner(configs, work, cache=True)
    made = planner.plan(options)
    lines = describe(backbone.name, work, made, run_cost(module, injection))
    try:
        machine = this_machine(str(backbone.device))
    except DitflowError:
        return lines  # the plan alone
    # What is free in main memory leaves out the weights, which are there already.
    free = machine.memory if machine.gpu else machine.memory + max(made.resident)
    better = advise(planner, made, free, machine.gpu)
    return f"{lines}\n{verdict(made, better, free, machine.name)}"


def run_cost(module: MotionTransfer, injection: KVInjection) -> Cost:
    """Passes of a block that a fit of one prompt takes."""
    backbone, options = module.backbone, module.sampler_options
    injected = min(module.guided_steps, steps_of(injection.share, options.num_steps))
    depends = module.target == "positions" and not (backbone.rotary and injection.block == 0)
    return cost(
        backbone.num_blocks,
        module.block,
        options.taken(module.guided_steps),
        module.guided_steps,
        module.gradients,
        guidance=module.sampler_options.guidance_scale > 1,
        injected_steps=injected if injection.enabled else 0,
        injected_block=injection.block,
        renewed=depends,
    )

"""Configs: YAML text read by a table of keys; models, optimizers and schedules by their names."""

from .datasets import SOURCES, Source, load_data
from .kinds import (
    FLAG,
    NOTHING,
    NUMBER,
    TEXT,
    WHOLE,
    Entry,
    Kind,
    choice,
    list_of,
    number,
    read_mapping,
    whole,
)
from .names import GENERATOR, LAYER_LIST, OPTIMIZER, SCHEDULE, TRANSFORM_LIST
from .parts import (
    Part,
    Schedule,
    build_all,
    build_generator,
    build_model,
    build_optimizer,
    build_schedule,
    check_model,
    check_optimizer,
    plain,
)
from .reading import parse_override, read_config
from .training import (
    SCHEMA,
    check_last_batch,
    command_line,
    read_training,
    trainer_options,
    words_of,
)
from .yaml_text import parse

__all__ = [
    "FLAG", "GENERATOR", "LAYER_LIST", "NOTHING", "NUMBER", "OPTIMIZER", "SCHEDULE", "SCHEMA",
    "SOURCES", "TEXT", "TRANSFORM_LIST", "WHOLE", "Entry", "Kind", "Part", "Schedule", "Source",
    "build_all", "build_generator", "build_model", "build_optimizer", "build_schedule",
    "check_last_batch", "check_model", "check_optimizer", "choice", "command_line", "list_of",
    "load_data", "number", "parse", "parse_override", "plain", "read_config", "read_mapping",
    "read_training", "trainer_options", "whole", "words_of",
]  # fmt: skip

"""What people type. Importing it first of all sets how often Python looks for garbage."""

import gc

# Imports make a hundred thousand objects that stay; looking through them again and again takes a tenth of
# a short command's time. The number is one generation's growth before a look (Python's default is 700).
gc.set_threshold(20_000, 20, 20)

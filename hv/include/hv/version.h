#pragma once
#define TRIVET_VERSION "0.1"

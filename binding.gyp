# For those who come by node-gyp: hands over to the CMake build, which alone knows how to find LibTorch.
{
  'targets': [
    {
      'target_name': 'rlt',
      'type': 'none',
      'actions': [
        {
          'action_name': 'cmake',
          'message': 'Building rlt with CMake',
          'inputs': [],
          'outputs': ['build/always'],
          'action': ['node', 'scripts/install/main.mjs']
        }
      ]
    }
  ]
}
